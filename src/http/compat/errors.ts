import type { FastifyRequest } from 'fastify';
import type { Problem } from '../problem.ts';
import type { ErrorAnswer, ErrorShape } from './error-shape.ts';
import { ioPaintError } from './iopaint/errors.ts';
import { openInferenceError } from './oip/errors.ts';
import { openAiError } from './openai/errors.ts';

const problemDocument: ErrorShape = (problem, instance) => ({
  status: problem.status,
  type: 'application/problem+json',
  body: problem.toJSON(instance),
});

/** Clients of other services expect their own shape, below the paths of those services. */
const SHAPES: [paths: RegExp, ErrorShape][] = [
  [/^\/v1\/(images|models)(\/|$)/, openAiError],
  [/^\/v2(\/|$)/, openInferenceError],
  [/^\/api\/v1(\/|$)/, ioPaintError],
];

/** A problem in the shape that clients of the request's path read. */
export function errorAnswer(problem: Problem, request: FastifyRequest): ErrorAnswer {
  const path = request.url.split('?')[0];
  const pattern = request.routeOptions?.url ?? path; // a path can be written in many ways
  const [, shape] = SHAPES.find(([paths]) => paths.test(pattern)) ?? [undefined, problemDocument];
  return shape(problem, path, request.body);
}

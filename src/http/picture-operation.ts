import type { z } from 'zod';
import { apiProblems, events, type Headers, pictureContent, pictureHeaders } from './openapi.ts';
import { BODY_SLUGS, type Slug } from './problem.ts';

interface PictureOperation {
  operationId: string;
  summary: string;
  description?: string;
  /** The body as JSON, and as a form where one is accepted. */
  json: z.ZodType;
  form?: z.ZodType;
  /** What the 200 answer is, and its JSON representation. */
  answer: string;
  response: z.ZodType;
  /** Headers of the 200 answer; by default those of generated pictures. */
  headers?: Headers;
  /** Whether the answer can be a stream of events. */
  streamed?: boolean;
  /** Besides those of every operation that answers with pictures. */
  problems: Slug[];
}

/** The schema of a route that answers with pictures, as images or as JSON. */
export function pictureOperation(operation: PictureOperation) {
  const { operationId, summary, description, json, form, answer, response, streamed } = operation;
  return {
    operationId,
    tags: ['pictures'],
    summary,
    description,
    body: {
      content: {
        'application/json': { schema: json }, // first: what many generators choose
        ...(form && { 'multipart/form-data': { schema: form } }),
      },
    },
    response: {
      200: {
        description: answer,
        headers: operation.headers ?? pictureHeaders,
        content: {
          'application/json': { schema: response },
          ...pictureContent,
          ...(streamed && { 'text/event-stream': { schema: events } }),
        },
      },
      ...apiProblems(...BODY_SLUGS, 'not-acceptable', ...operation.problems),
    },
  };
}

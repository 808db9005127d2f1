import type { Problem } from '../problem.ts';

/** The answer to a request that failed, as its client reads it. */
export interface ErrorAnswer {
  status: number;
  type: string;
  body: object;
}

/**
 * @param instance the path of the request
 * @param body as it was read so far, if it was
 */
export type ErrorShape = (problem: Problem, instance: string, body: unknown) => ErrorAnswer;

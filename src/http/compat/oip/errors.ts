import type { Problem } from '../../problem.ts';
import type { ErrorAnswer } from '../error-shape.ts';

/**
 * The Open Inference Protocol's error: a text. A file that is no picture is bad input like any other, because no media type
 * has said what it would be.
 */
export function openInferenceError(problem: Problem): ErrorAnswer {
  const { title, detail } = problem.toJSON('');
  const status = problem.slug === 'unsupported-picture' ? 400 : problem.status;
  return { status, type: 'application/json', body: { error: detail || title } };
}

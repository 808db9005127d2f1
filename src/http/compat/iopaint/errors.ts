import type { Problem } from '../../problem.ts';
import type { ErrorAnswer } from '../error-shape.ts';

/** IOPaint's error. Its page shows `errors` to the person who uses it. */
export function ioPaintError(problem: Problem): ErrorAnswer {
  const { title, detail } = problem.toJSON('');
  const text = detail || title;
  const body = { error: problem.slug, detail: text, body: '', errors: text };
  return { status: problem.status, type: 'application/json', body };
}

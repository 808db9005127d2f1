import { PROBLEMS, type Problem, type Slug } from '../../problem.ts';
import type { ErrorShape } from '../error-shape.ts';
import { nameIn, renamed } from '../renamed.ts';

/** Codes that OpenAI's API has for a problem; the others are named after their slugs. */
const CODES: Partial<Record<Slug, string>> = {
  unauthorized: 'invalid_api_key',
  'unknown-model': 'model_not_found',
  'rate-limited': 'rate_limit_exceeded',
};

/** Names of this API for fields of the generation request. */
const NAMES: Record<string, string> = {
  num_images: 'n',
  format: 'output_format',
};

/** Problems that have another status here: for OpenAI's API, a file of an unsupported format is a bad request. */
const STATUSES: Partial<Record<Slug, number>> = { 'unsupported-picture': 400 };

export const statusOf = (slug: Slug): number => STATUSES[slug] ?? PROBLEMS[slug][0];

/** Names of the fields that were sent, where a field has several names. */
function namesIn(body: unknown): Record<string, string> {
  const sent = (name: string) =>
    typeof body === 'object' && body !== null && (body as Record<string, unknown>)[name] != null;
  return {
    ...NAMES,
    ...(sent('mask_image') && !sent('mask') && { mask: 'mask_image' }),
    ...(sent('num_inference_steps') && !sent('steps') && { steps: 'num_inference_steps' }),
    ...(sent('images') && !sent('image') && { image: 'images' }),
  };
}

/** A problem with the member `error`, which OpenAI's clients read. */
export const openAiError: ErrorShape = (thrown, instance, body) => {
  const problem = renamed(thrown, namesIn(body));
  const status = statusOf(problem.slug);
  const document = { ...problem.toJSON(instance), status };
  const error = {
    message: document.detail,
    type: typeOf(status),
    param: paramOf(problem),
    code: CODES[problem.slug] ?? problem.slug.replaceAll('-', '_'),
  };
  return { status, type: 'application/problem+json', body: { ...document, error } };
};

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}

/** The field that the first error is about. */
function paramOf({ errors }: Problem): string | null {
  return errors.length > 0 ? nameIn(errors[0]) || null : null;
}

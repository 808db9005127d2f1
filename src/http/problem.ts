import { EngineError } from '../engine/engine.ts';
import { PictureError } from '../image/picture.ts';
import { IdempotencyConflictError, JobStoreError, UnknownJobError } from '../jobs/job.ts';
import { UnknownModelError } from '../registry/registry.ts';
import { QueueFullError } from '../scheduler/scheduler.ts';

/** Every type of problem: its slug, status and title. The slug is stable; clients may rely on it. */
export const PROBLEMS = {
  'invalid-request': [400, 'The request is not valid'],
  'unreadable-picture': [400, 'A picture cannot be decoded'],
  'mask-mismatch': [400, 'Mask and image differ in size'],
  'empty-mask': [400, 'There is no hole to fill'],
  unauthorized: [401, 'An API key is needed'],
  'not-found': [404, 'There is nothing here'],
  'unknown-job': [404, 'There is no such job'],
  'unknown-model': [404, 'There is no such model'],
  'method-not-allowed': [405, 'This path does not take that method'],
  'not-acceptable': [406, 'The answer cannot be given in a form you accept'],
  'idempotency-conflict': [409, 'The Idempotency-Key belongs to another request'],
  'upload-too-large': [413, 'The request body is too large'],
  'picture-too-large': [413, 'A picture has too many pixels'],
  'request-timeout': [408, 'The request took too long to arrive'],
  'unsupported-media-type': [415, 'The content type is not supported'],
  'unsupported-picture': [415, 'The picture format is not supported'],
  'headers-too-large': [431, 'The request headers are too large'],
  'queue-full': [429, 'The queue is full'],
  'rate-limited': [429, 'You have made too many requests'],
  'internal-error': [500, 'Something went wrong on our side'],
  'engine-failure': [500, 'The network could not be evaluated'],
  'not-ready': [503, 'The service is not ready'],
} as const satisfies Record<string, [status: number, title: string]>;
/** When to ask again, in seconds, while the service is not ready. */
export const RETRY_AFTER_S = 5;

export type Slug = keyof typeof PROBLEMS;

export interface FieldError {
  /** JSON pointer to the field, as a URI fragment: #/steps */
  pointer: string;
  detail: string;
}

/** What an endpoint throws to be answered as application/problem+json (RFC 9457). */
export class Problem extends Error {
  override name = 'Problem';
  readonly slug: Slug;
  readonly errors: FieldError[];
  /** In seconds, for the Retry-After header. */
  readonly retryAfterS: number | undefined;

  constructor(
    slug: Slug,
    detail: string,
    { errors = [], retryAfterS }: { errors?: FieldError[]; retryAfterS?: number } = {},
  ) {
    super(detail);
    this.slug = slug;
    this.errors = errors;
    this.retryAfterS = retryAfterS;
  }

  get status(): number {
    return PROBLEMS[this.slug][0];
  }

  get title(): string {
    return PROBLEMS[this.slug][1];
  }

  toJSON(instance: string) {
    const [status, title] = PROBLEMS[this.slug];
    const errors = this.errors.length > 0 ? this.errors : undefined;
    return { type: `/problems/${this.slug}`, title, status, detail: this.message, instance, errors };
  }
}

/** A problem with one field. */
export function fieldProblem(slug: Slug, field: string, detail: string): Problem {
  return new Problem(slug, detail, { errors: [{ pointer: `#/${field}`, detail }] });
}

const PICTURE_PROBLEMS: Record<PictureError['code'], Slug> = {
  unreadable: 'unreadable-picture',
  unsupported: 'unsupported-picture',
  'too-large': 'picture-too-large',
  mismatch: 'mask-mismatch',
  'empty-mask': 'empty-mask',
};

/** What the layers below throw, as the problem a client is told; undefined for what nobody foresaw. */
export function domainProblem(error: unknown): Problem | undefined {
  if (error instanceof Problem) return error;
  if (error instanceof PictureError) {
    // A format that cannot hold the picture is a parameter badly chosen, not a picture past MAX_PIXELS.
    const slug = error.field === 'format' ? 'invalid-request' : PICTURE_PROBLEMS[error.code];
    return fieldProblem(slug, error.field, error.message);
  }
  if (error instanceof UnknownModelError) return fieldProblem('unknown-model', 'model', error.message);
  if (error instanceof UnknownJobError) return new Problem('unknown-job', error.message);
  if (error instanceof IdempotencyConflictError) return new Problem('idempotency-conflict', error.message);
  if (error instanceof JobStoreError) {
    return new Problem('not-ready', 'jobs cannot be reached just now', { retryAfterS: RETRY_AFTER_S });
  }
  if (error instanceof QueueFullError) {
    const detail = `too many pictures are waiting; try again in ${error.retryAfterS} s`;
    return new Problem('queue-full', detail, { retryAfterS: error.retryAfterS });
  }
  if (error instanceof EngineError) {
    return new Problem(
      'engine-failure',
      'the network could not be evaluated; the same request may work again',
    );
  }
  return undefined;
}

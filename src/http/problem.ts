/** Every type of problem: its slug, status and title. The slug is stable; clients may rely on it. */
export const PROBLEMS = {
  'invalid-request': [400, 'The request is not valid'],
  'unreadable-picture': [400, 'A picture cannot be decoded'],
  'mask-mismatch': [400, 'Mask and image differ in size'],
  'empty-mask': [400, 'There is no hole to fill'],
  unauthorized: [401, 'An API key is needed'],
  'not-found': [404, 'There is nothing at this path'],
  'unknown-job': [404, 'There is no such job'],
  'no-such-picture': [404, 'The job has no such picture'],
  'unknown-model': [404, 'There is no such model'],
  'method-not-allowed': [405, 'The path does not support this method'],
  'not-acceptable': [406, 'No available representation is acceptable'],
  'idempotency-conflict': [409, 'The Idempotency-Key belongs to another request'],
  'precondition-failed': [412, 'A condition of the request is not met'],
  'upload-too-large': [413, 'The request body is too large'],
  'picture-too-large': [413, 'A picture is too large'],
  'takes-too-long': [422, 'The request takes too long to wait for its answer'],
  'picture-too-slow': [422, 'A picture takes too long to decode'],
  'request-timeout': [408, 'The request took too long to arrive'],
  'unsupported-media-type': [415, 'The content type is not supported'],
  'unsupported-picture': [415, 'The picture format is not supported'],
  'range-not-satisfiable': [416, 'The range lies outside of the file'],
  'headers-too-large': [431, 'The request headers are too large'],
  'queue-full': [429, 'The queue is full'],
  'memory-full': [429, 'There is no memory for more pictures now'],
  'job-limit': [429, 'There are too many unfinished jobs'],
  'too-many-streams': [429, 'There are too many streams of events'],
  'rate-limited': [429, 'Too many requests'],
  'internal-error': [500, 'Internal error'],
  'engine-failure': [500, 'The network could not be evaluated'],
  'not-ready': [503, 'The service is not ready'],
  'too-many-connections': [503, 'There are too many connections'],
} as const satisfies Record<string, [status: number, title: string]>;
export type Slug = keyof typeof PROBLEMS;

/** Problems of every operation that takes a body and a model. */
export const BODY_SLUGS = [
  'invalid-request',
  'unknown-model',
  'request-timeout',
  'upload-too-large',
  'unsupported-media-type',
  'not-ready',
] as const satisfies Slug[];
/** Of those that decode a picture, and a mask. */
export const PICTURE_SLUGS = [
  'unreadable-picture',
  'unsupported-picture',
  'picture-too-large',
  'picture-too-slow',
] as const satisfies Slug[];
export const MASK_SLUGS = ['mask-mismatch', 'empty-mask'] as const satisfies Slug[];
/** Of those whose client waits for generated pictures. */
export const GENERATION_SLUGS = [
  'queue-full',
  'memory-full',
  'takes-too-long',
  'engine-failure',
] as const satisfies Slug[];

/** Seconds after which to try again what a moment may bring: readiness, or a place for an upload or a connection. */
export const RETRY_AFTER_S = 5;

/** Bounds of an answer, whatever was sent: errors listed, and characters of a text. */
export const MAX_ERRORS = 20;
const MAX_TEXT = 2000;

export interface FieldError {
  /** JSON pointer to the field, as a URI fragment: #/steps */
  pointer: string;
  detail: string;
}

/** Thrown by routes and plugins; answered as application/problem+json (RFC 9457). */
export class Problem extends Error {
  override name = 'Problem';
  readonly slug: Slug;
  readonly errors: FieldError[];
  /** Seconds, for the Retry-After header. */
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
    const errors = this.errors.slice(0, MAX_ERRORS).map(({ pointer, detail }) => ({
      pointer: shortened(pointer),
      detail: shortened(detail),
    }));
    return {
      type: `/problems/${this.slug}`,
      title,
      status,
      detail: shortened(this.message),
      instance: shortened(instance),
      errors: errors.length > 0 ? errors : undefined,
    };
  }
}

function shortened(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

/** The service, or what it needs, cannot answer now. */
export function notReady(why: string, retryAfterS = RETRY_AFTER_S): Problem {
  return new Problem('not-ready', why, { retryAfterS });
}

/** A problem with one field. */
export function fieldProblem(slug: Slug, field: string, detail: string): Problem {
  return new Problem(slug, detail, { errors: [{ pointer: `#/${field}`, detail }] });
}

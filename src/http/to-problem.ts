import type { FastifyBaseLogger, FastifyError } from 'fastify';
import { EngineError } from '../engine/engine.ts';
import { InvalidParameterError, ModelNotReadyError, TakesTooLongError } from '../generation/errors.ts';
import { MemoryFullError } from '../image/budget.ts';
import { PictureError } from '../image/picture.ts';
import {
  IdempotencyConflictError,
  JobLimitError,
  JobStoreError,
  NoPictureError,
  UnknownJobError,
} from '../jobs/job.ts';
import { UnknownModelError } from '../registry/registry.ts';
import { ModelLoadError } from '../registry/served-model.ts';
import type { TryLaterError } from '../retry-after.ts';
import { QueueFullError } from '../scheduler/admission.ts';
import { fieldProblem, notReady, Problem, type Slug } from './problem.ts';
import { validationProblem } from './validation.ts';

/** Errors of Fastify and its plugins, as problems. */
const FASTIFY_PROBLEMS: Record<string, [Slug, detail: string]> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['unsupported-media-type', 'the path takes no body of this content type'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['invalid-request', 'the body is empty; it must be JSON'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['invalid-request', 'the body is not valid JSON, or has a member __proto__'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['invalid-request', 'the body is not as long as content-length says'],
  FST_ERR_CTP_BODY_TOO_LARGE: ['upload-too-large', 'the body is larger than this service accepts'],
  FST_ERR_VALIDATION: ['invalid-request', 'the request is not valid'],
  FST_ERR_BAD_URL: ['invalid-request', 'the path is not valid'],
  FST_ERR_MAX_PARAM_LENGTH: ['not-found', 'a path parameter is too long'],
};

/** Errors of @fastify/static by their status. Others are about the request as a whole. */
const FILE_PROBLEMS: Record<number, [Slug, detail: string]> = {
  403: ['not-found', 'there is nothing at this path'],
  412: ['precondition-failed', 'the file is another one than if-match or if-unmodified-since demands'],
  416: ['range-not-satisfiable', 'the file is shorter than the range demands'],
};

const PICTURE_PROBLEMS: Record<PictureError['code'], Slug> = {
  unreadable: 'unreadable-picture',
  unsupported: 'unsupported-picture',
  'too-large': 'picture-too-large',
  'too-slow': 'picture-too-slow',
  mismatch: 'mask-mismatch',
  'empty-mask': 'empty-mask',
};

/**
 * 5xx that are not errors of the service; they are counted. not-ready is what probes are told while a model loads and
 * while the service shuts down.
 */
const EXPECTED: Slug[] = ['not-ready', 'too-many-connections'];

/** The problem that a client is told about an error. Errors that are our fault are logged, with the request's id. */
export function toProblem(thrown: unknown, log: FastifyBaseLogger): Problem {
  const known = domainProblem(thrown) ?? fastifyProblem(thrown as Partial<FastifyError>);
  if (!known) {
    log.error({ err: thrown }, 'unexpected error');
    return new Problem('internal-error', 'quote the x-request-id of this answer when you report it');
  }
  if (known.status >= 500 && !EXPECTED.includes(known.slug))
    log.error({ err: thrown }, `request failed: ${known.slug}`);
  return known;
}

/** Errors of the layers below. */
function domainProblem(error: unknown): Problem | undefined {
  if (error instanceof Problem) return error;
  if (error instanceof PictureError) {
    // A format that cannot hold the picture is a badly chosen parameter, not a picture past MAX_PIXELS.
    const slug = error.field === 'format' ? 'invalid-request' : PICTURE_PROBLEMS[error.code];
    return fieldProblem(slug, error.field, error.message);
  }
  if (error instanceof InvalidParameterError)
    return fieldProblem('invalid-request', error.field, error.message);
  if (error instanceof TakesTooLongError) return new Problem('takes-too-long', error.message);
  if (error instanceof UnknownModelError) return fieldProblem('unknown-model', 'model', error.message);
  if (error instanceof ModelNotReadyError) return notReady(error.message);
  if (error instanceof UnknownJobError) return new Problem('unknown-job', error.message);
  if (error instanceof NoPictureError) return new Problem('no-such-picture', error.message);
  if (error instanceof IdempotencyConflictError) return new Problem('idempotency-conflict', error.message);
  if (error instanceof JobStoreError) return notReady(error.message);
  if (error instanceof JobLimitError) return tryLater('job-limit', error);
  if (error instanceof QueueFullError) return tryLater('queue-full', error);
  if (error instanceof MemoryFullError) return tryLater('memory-full', error);
  if (error instanceof ModelLoadError)
    return new Problem('engine-failure', `${error.ref} cannot be loaded: ${error.message}`);
  if (error instanceof EngineError) {
    const detail = 'the network could not be evaluated; the same request may succeed when it is sent again';
    return new Problem('engine-failure', detail);
  }
  return undefined;
}

function tryLater(slug: Slug, { message, retryAfterS }: TryLaterError): Problem {
  return new Problem(slug, `${message}; try again in ${retryAfterS} s`, { retryAfterS });
}

function fastifyProblem({
  validation,
  code,
  statusCode,
  message,
}: Partial<FastifyError>): Problem | undefined {
  if (validation) return validationProblem(validation);
  const mapped = FASTIFY_PROBLEMS[code ?? ''] ?? FILE_PROBLEMS[statusCode ?? 0];
  if (mapped) return new Problem(...mapped);
  if (statusCode === undefined || statusCode < 400 || statusCode >= 500) return undefined;
  return new Problem('invalid-request', message ?? 'the request is not valid');
}

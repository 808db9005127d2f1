import type { FastifyInstance } from 'fastify';
import { type Decided, inpaintWork, sampleWork } from '../generation/prepare.ts';
import { samplingParameters } from '../generation/resolve.ts';
import type { Parts } from '../http/dependencies.ts';
import { toProblem } from '../http/plugins/errors.ts';
import { perform } from '../http/reply.ts';
import type { JobBody } from '../http/schemas/requests.ts';
import type { JobResponse } from '../http/schemas/responses.ts';
import { describeProgress } from '../http/sse.ts';
import { UnknownModelError } from '../registry/registry.ts';
import { tracedApart } from '../tracing.ts';
import type { Job, JobQueue, JobQueueOptions, JobRequest } from './job.ts';
import { MemoryJobQueue } from './memory-queue.ts';
import { RedisJobQueue } from './redis/queue.ts';
import { post } from './webhook.ts';

/** Jobs on Redis where REDIS_URL says so, else in memory. Rejects with JobStoreError when Redis cannot be reached. */
export async function openJobQueue({ log }: FastifyInstance, parts: Parts): Promise<JobQueue> {
  const { config, metrics } = parts;
  const webhooks = { origins: config.WEBHOOK_ORIGINS, secret: config.WEBHOOK_SECRET ?? '' };
  const options: JobQueueOptions = {
    limit: config.JOB_LIMIT,
    ttlMs: config.JOB_TTL_MS,
    describeError: (error) => toProblem(error, log).toJSON('/v1/jobs'),
    notify: (job) => post(job.webhook, job.id, describeJob(job), webhooks),
    perform: (request, { signal, onProgress }) =>
      tracedApart('job', async () => {
        const decided = await decideAgain(parts, request);
        const { scheduler } = await decided.model.open();
        // A job waits for room before its pictures are decoded, it is not refused.
        const place = await scheduler.whenRoom(decided.sampling.numImages, signal);
        try {
          const work = await workOf(parts, request, { ...decided, place });
          const options = { signal, onProgress: describeProgress(work, onProgress) };
          const { files, about } = await perform(metrics, work, options);
          return { files, mediaType: `image/${work.form.format}`, answer: about };
        } finally {
          place();
        }
      }),
  };
  if (!config.REDIS_URL) return new MemoryJobQueue(options);
  const onError = (err: Error) => log.warn({ err }, 'jobs on Redis');
  return RedisJobQueue.connect({ ...options, url: config.REDIS_URL, onError });
}

/** The same, where another replica may have taken the job for a version that this one has not seen yet. */
async function decideAgain(parts: Parts, request: JobRequest): Promise<Decided> {
  try {
    return decide(parts, request);
  } catch (error) {
    if (!(error instanceof UnknownModelError)) throw error;
    await parts.registry.reload();
    return decide(parts, request);
  }
}

/** What a job's fields say. Throws what HTTP answers with 4xx. */
export function decide({ registry }: Parts, { fields }: JobRequest): Decided {
  const body = fields as unknown as JobBody & { seed: number };
  const model = registry.get(body.model); // ready or not: a job waits for it
  const sampling = samplingParameters(body, model);
  return { model, sampling, form: { kind: 'json', format: body.format ?? 'png' } };
}

/** The work that a job asks for, its pictures decoded and checked. */
export function workOf(parts: Parts, { task, fields, image, mask }: JobRequest, decided: Decided) {
  const body = { ...fields, image, mask } as unknown as JobBody & { image: Buffer };
  return task === 'inpaint' ? inpaintWork(parts, body, decided) : sampleWork(body, decided);
}

/** A job as clients and webhooks see it. */
export function describeJob({
  createdAt,
  startedAt,
  finishedAt,
  images,
  error,
  owner,
  ...job
}: Job): JobResponse {
  return {
    ...job,
    created_at: createdAt.toISOString(),
    started_at: startedAt?.toISOString(),
    finished_at: finishedAt?.toISOString(),
    error: error as JobResponse['error'],
    images: Array.from({ length: images }, (_, n) => `/v1/jobs/${job.id}/images/${n}`),
    events: `/v1/jobs/${job.id}/events`,
  };
}

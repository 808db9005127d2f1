import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { chooseModel, seeded } from '../../generation/resolve.ts';
import { JOB_STATUSES, type Job, type JobEvent, type JobRequest, noSuchJob } from '../../jobs/job.ts';
import { decide, describeJob, openJobQueue, workOf } from '../../jobs/runner.ts';
import { isAllowed } from '../../jobs/webhook.ts';
import type { Parts } from '../dependencies.ts';
import { disconnectSignal } from '../disconnect.ts';
import { apiProblems, binary, events } from '../openapi.ts';
import { fieldProblem } from '../problem.ts';
import { drawnAs } from '../reply.ts';
import { type JobBody, jobForm, jobJson } from '../schemas/requests.ts';
import { jobList, job as jobSchema } from '../schemas/responses.ts';
import { EVENT_STREAM_HEADERS, formatEvent, withHeartbeats } from '../sse.ts';

const idParams = z.object({ id: z.string().max(100) });
const tags = ['jobs'];
const one = (description: string) => ({
  description,
  content: { 'application/json': { schema: jobSchema } },
});

export default async function jobRoutes(app: FastifyInstance, parts: Parts) {
  const { config, registry } = parts;
  const jobs = await openJobQueue(app, parts);
  app.addHook('preClose', () => jobs.close());

  app.post<{ Body: JobBody }>(
    '/v1/jobs',
    {
      schema: {
        operationId: 'createJob',
        tags,
        summary: 'Fill or draw later: the same work, asynchronously',
        description:
          'With an Idempotency-Key, sending the same request again gives the same job. Without REDIS_URL jobs are kept ' +
          'in memory: a restart loses them.',
        headers: z.object({ 'idempotency-key': z.string().min(1).max(200).optional() }).loose(),
        body: {
          content: { 'multipart/form-data': { schema: jobForm }, 'application/json': { schema: jobJson } },
        },
        response: {
          200: one('The job that this Idempotency-Key has made before'),
          202: one('The job; Location says where it is'),
          ...apiProblems(
            'invalid-request',
            'unreadable-picture',
            'mask-mismatch',
            'empty-mask',
            'unknown-model',
            'idempotency-conflict',
            'upload-too-large',
            'picture-too-large',
            'unsupported-media-type',
            'unsupported-picture',
            'queue-full',
            'not-ready',
          ),
        },
      },
      preValidation: (request) => request.readForm(jobForm),
    },
    async (request, reply) => {
      const key = idempotencyKey(request);
      const body = seeded(request.body);
      const { task, image, mask, webhook, ...fields } = body;
      if (webhook && !isAllowed(webhook, { origins: config.WEBHOOK_ORIGINS }))
        throw fieldProblem('invalid-request', 'webhook', 'its origin is not one of WEBHOOK_ORIGINS');
      // Seed and version are fixed now: whichever replica does the job, it is the same picture.
      const { ref: model } = chooseModel(registry, body);
      const wanted: JobRequest = {
        task,
        fields: { ...fields, model },
        image,
        mask,
        webhook,
        owner: request.apiKey?.name,
      };
      const decided = decide(parts, wanted);
      Object.assign(request.about, {
        task,
        ...drawnAs({ model: decided.model, parameters: decided.sampling }),
      });
      await workOf(parts, wanted, decided); // what is wrong with the request is said now, not by a job that fails
      const { job, known } = await jobs.submit(wanted, key);
      request.about.job = job.id;
      return reply
        .code(known ? 200 : 202)
        .header('location', `/v1/jobs/${job.id}`)
        .send(describeJob(job));
    },
  );

  app.get<{ Querystring: { status?: Job['status']; limit: number } }>(
    '/v1/jobs',
    {
      schema: {
        operationId: 'listJobs',
        tags,
        summary: 'Your jobs, newest first',
        querystring: z.object({
          status: z.enum(JOB_STATUSES).optional(),
          limit: z.coerce.number().int().min(1).max(1000).default(100),
        }),
        response: {
          200: { description: 'The jobs', content: { 'application/json': { schema: jobList } } },
          ...apiProblems('invalid-request'),
        },
      },
    },
    async ({ query, apiKey }) => ({
      jobs: (await jobs.list({ ...query, owner: apiKey?.name })).map(describeJob),
    }),
  );

  app.get<{ Params: { id: string } }>(
    '/v1/jobs/:id',
    {
      schema: {
        operationId: 'getJob',
        tags,
        summary: 'One job',
        params: idParams,
        response: { 200: one('The job'), ...apiProblems('unknown-job') },
      },
    },
    async (request) => describeJob(await own(request)),
  );

  app.delete<{ Params: { id: string } }>(
    '/v1/jobs/:id',
    {
      schema: {
        operationId: 'deleteJob',
        tags,
        summary: 'Cancel a job that waits or runs; forget one that has ended',
        params: idParams,
        response: { 200: one('The job as it was left'), ...apiProblems('unknown-job') },
      },
    },
    async (request) => describeJob(await jobs.cancel((await own(request)).id)),
  );

  app.get<{ Params: { id: string; n: number } }>(
    '/v1/jobs/:id/images/:n',
    {
      schema: {
        operationId: 'getJobImage',
        tags,
        summary: 'A picture of a job that has succeeded',
        params: idParams.extend({ n: z.coerce.number().int().min(0).max(7) }),
        response: {
          200: {
            description: 'The picture',
            content: {
              'image/png': { schema: binary },
              'image/jpeg': { schema: binary },
              'image/webp': { schema: binary },
            },
          },
          ...apiProblems('unknown-job', 'invalid-request'),
        },
      },
    },
    async (request, reply) => {
      const { id } = await own(request);
      const { file, mediaType } = await jobs.image(id, request.params.n);
      return reply.type(mediaType).send(Buffer.from(file));
    },
  );

  app.get<{ Params: { id: string } }>(
    '/v1/jobs/:id/events',
    {
      schema: {
        operationId: 'followJob',
        tags,
        summary: 'The events of a job, from the first or after Last-Event-ID, until it ends',
        params: idParams,
        headers: z
          .object({
            'last-event-id': z
              .string()
              .regex(/^\d{1,9}$/)
              .optional(),
          })
          .loose(),
        response: {
          200: { description: 'The events', content: { 'text/event-stream': { schema: events } } },
          ...apiProblems('unknown-job', 'invalid-request'),
        },
      },
    },
    async (request, reply) => {
      const { id } = await own(request); // a job that is not there is a 404, not an empty stream
      const after = Number(request.headers['last-event-id'] ?? 0);
      const source = jobs.events(id, after, disconnectSignal(reply));
      return reply.headers(EVENT_STREAM_HEADERS).send(withHeartbeats(Readable.from(formatted(source))));
    },
  );

  /** The job that is asked for. Another's is answered like one that is not there. */
  async function own({ params: { id }, apiKey }: FastifyRequest<{ Params: { id: string } }>): Promise<Job> {
    const job = await jobs.get(id);
    if (job.owner === apiKey?.name) return job;
    throw noSuchJob(id);
  }
}

async function* formatted(source: AsyncIterable<JobEvent>) {
  for await (const { id, event, data } of source) yield formatEvent(event, data, id);
}

/** The key, and what tells whether the request that comes with it is the same. */
function idempotencyKey(request: FastifyRequest<{ Body: JobBody }>) {
  const value = request.headers['idempotency-key'];
  if (typeof value !== 'string') return undefined;
  const { image, mask, ...fields } = request.body;
  const hash = createHash('sha256').update(JSON.stringify(fields));
  for (const picture of [image, mask]) hash.update(`|${picture?.length ?? ''}|`).update(picture ?? '');
  return { value, fingerprint: hash.digest('hex') };
}

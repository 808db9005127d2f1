import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { MOST_IMAGES } from '../../config/queue-shares.ts';
import { workOf } from '../../generation/estimate.ts';
import { generationLimits, prepare } from '../../generation/prepare.ts';
import { assertReady, reproducibilityFields, resolve } from '../../generation/resolve.ts';
import { asBuffer } from '../../image/buffer.ts';
import {
  EVENTS_KEPT,
  generationRequest,
  inputBytesOf,
  JOB_STATUSES,
  type Job,
  type JobEvent,
  noSuchJob,
} from '../../jobs/job.ts';
import { JobRunner } from '../../jobs/runner.ts';
import { isAllowed } from '../../jobs/webhook.ts';
import type { Dependencies } from '../dependencies.ts';
import { disconnectSignal, whenSent } from '../disconnect.ts';
import { jobView } from '../job-view.ts';
import { openJobs } from '../open-jobs.ts';
import { apiProblems, jobEvents, json, pictureContent } from '../openapi.ts';
import { BODY_SLUGS, fieldProblem, MASK_SLUGS, PICTURE_SLUGS } from '../problem.ts';
import { type JobBody, jobForm, jobJson } from '../schemas/requests.ts';
import { jobList, job as jobSchema } from '../schemas/responses.ts';
import { formatEvent, sendEvents } from '../sse.ts';
import { limitStreams } from '../stream-limit.ts';

const idParams = z.object({ id: z.string().max(100).meta({ description: 'The id of a job' }) });
/** Digits only: Number() would also take an empty part of a path for 0. */
const pictureIndex = z.preprocess(
  (text) => (/^\d+$/.test(String(text)) ? text : undefined),
  z.coerce
    .number()
    .int()
    .min(0)
    .max(MOST_IMAGES.job - 1)
    .meta({ description: 'Index of the candidate', examples: [0] }),
);
const tags = ['jobs'];
const location = { location: { type: 'string', description: 'Path of the job' } };
const one = (description: string) => json(description, jobSchema);

export default async function jobRoutes(app: FastifyInstance, dependencies: Dependencies) {
  const { config, registry, metrics } = dependencies;
  const limits = generationLimits(config);
  const runner = new JobRunner(registry, metrics, limits);
  const jobs = await openJobs(app, dependencies, runner);

  app.post<{ Body: JobBody }>(
    '/v1/jobs',
    {
      schema: {
        operationId: 'createJob',
        tags,
        summary: 'Fill or generate asynchronously',
        description:
          'With an Idempotency-Key, sending the same request again returns the same job. Without REDIS_URL jobs are kept ' +
          'in memory, and a restart loses them.',
        headers: z
          .object({
            'idempotency-key': z.string().min(1).max(200).optional().meta({
              description:
                'Any text of your own: sending the request again with the same one creates no second job',
            }),
          })
          .loose(),
        body: {
          content: { 'application/json': { schema: jobJson }, 'multipart/form-data': { schema: jobForm } },
        },
        response: {
          200: { ...one('The job that was created with this Idempotency-Key before'), headers: location },
          202: { ...one('The job'), headers: location },
          ...apiProblems(
            ...BODY_SLUGS,
            ...PICTURE_SLUGS,
            ...MASK_SLUGS,
            'idempotency-conflict',
            'job-limit',
            'memory-full',
          ),
        },
      },
      preValidation: (request) => request.readForm(jobForm),
    },
    async (request, reply) => {
      const { task, image, mask, webhook, ...fields } = request.body;
      const owner = request.apiKey?.name;
      const key = idempotencyKey(request);
      if (webhook && !isAllowed(webhook, { origins: config.WEBHOOK_ORIGINS }))
        throw fieldProblem(
          'invalid-request',
          'webhook',
          'the origin of webhook is not one of WEBHOOK_ORIGINS',
        );
      request.logFields.task = task;
      const earlier = key && (await jobs.find(key, owner)); // also if its model is gone meanwhile
      if (earlier) return send(earlier, 200);
      const resolved = resolve(registry, generationRequest({ task, fields, image, mask }));
      Object.assign(request.logFields, reproducibilityFields(resolved));
      assertReady(registry, resolved.model, resolved.parameters.seed);
      const bytes = inputBytesOf({ image, mask });
      const reservation = await jobs.reserve({ owner, bytes }); // before anything is decoded
      const id = randomUUID();
      let accepted = false;
      try {
        const prepared = await prepare(resolved, limits, { checkOnly: true }); // a bad picture is a 4xx now, not a failed job later
        // Seed and version are fixed now, so that the job gives the same picture on whichever replica it runs.
        const { model, parameters } = resolved;
        const fixed = { ...fields, model: model.ref, seed: parameters.seed };
        runner.preparedInputs.put(id, prepared);
        reservation.release(); // from here on the queue counts the job itself
        const work = workOf(prepared);
        const wanted = { id, task, fields: fixed, work, image, mask, webhook, owner };
        const { job, known } = await jobs.submit(wanted, key);
        accepted = !known;
        return send(job, known ? 200 : 202);
      } finally {
        if (!accepted) runner.preparedInputs.drop(id);
        reservation.release();
      }

      function send(job: Job, status: 200 | 202) {
        request.logFields.job = job.id;
        const prefix = request.pathPrefix;
        return reply
          .code(status)
          .header('location', `${prefix}/v1/jobs/${job.id}`)
          .send(jobView(job, prefix, registry));
      }
    },
  );

  app.get<{ Querystring: { status?: Job['status']; limit: number } }>(
    '/v1/jobs',
    {
      schema: {
        operationId: 'listJobs',
        tags,
        summary: 'Your jobs, newest first',
        description: 'Jobs that were created with the same API key; without API keys, all jobs.',
        querystring: z.object({
          status: z.enum(JOB_STATUSES).optional().meta({ description: 'Only jobs in this state' }),
          limit: z.coerce
            .number()
            .int()
            .min(1)
            .max(1000)
            .default(100)
            .meta({ description: 'Maximum number of jobs in the answer' }),
        }),
        response: {
          200: json('The jobs', jobList),
          ...apiProblems('invalid-request', 'not-ready'),
        },
      },
    },
    async ({ query, apiKey, pathPrefix }) => ({
      jobs: (await jobs.list({ ...query, owner: apiKey?.name })).map((job) =>
        jobView(job, pathPrefix, registry),
      ),
    }),
  );

  app.get<{ Params: { id: string } }>(
    '/v1/jobs/:id',
    {
      schema: {
        operationId: 'getJob',
        tags,
        summary: 'One job',
        description:
          'Its state, progress and parameters, and the addresses of its pictures when it has succeeded.',
        params: idParams,
        response: { 200: one('The job'), ...apiProblems('invalid-request', 'unknown-job', 'not-ready') },
      },
    },
    async (request) => jobView(await own(request), request.pathPrefix, registry),
  );

  app.delete<{ Params: { id: string } }>(
    '/v1/jobs/:id',
    {
      schema: {
        operationId: 'deleteJob',
        tags,
        summary: 'Cancel a job that waits or runs; delete one that has ended',
        description:
          'The pictures of a deleted job are gone. Jobs that have ended are deleted after JOB_TTL_MS anyway.',
        params: idParams,
        response: {
          200: one('The job in its last state'),
          ...apiProblems('invalid-request', 'unknown-job', 'not-ready'),
        },
      },
    },
    async (request) => jobView(await jobs.cancel((await own(request)).id), request.pathPrefix, registry),
  );

  app.get<{ Params: { id: string; n: number } }>(
    '/v1/jobs/:id/images/:n',
    {
      schema: {
        operationId: 'getJobImage',
        tags,
        summary: 'A picture of a job that has succeeded',
        description: 'A picture in the format of the job. Before the job has succeeded, the answer is 404.',
        params: idParams.extend({ n: pictureIndex }),
        response: {
          200: {
            description: 'The picture',
            content: pictureContent,
          },
          ...apiProblems('unknown-job', 'no-such-picture', 'invalid-request', 'memory-full', 'not-ready'),
        },
      },
    },
    async (request, reply) => {
      const { id } = await own(request);
      const { file, mediaType, release } = await jobs.image(id, request.params.n);
      whenSent(reply, release);
      // An img element sends no Origin. Whoever knows the id can fetch the picture anyway.
      if (config.CORS_ORIGINS.length > 0) reply.header('cross-origin-resource-policy', 'cross-origin');
      return reply.type(mediaType).send(asBuffer(file));
    },
  );

  app.get<{ Params: { id: string } }>(
    '/v1/jobs/:id/events',
    {
      exposeHeadRoute: false, // it would follow the job until its end, though its answer has ended
      schema: {
        operationId: 'followJob',
        tags,
        summary: 'The events of a job, from the first that is kept or after Last-Event-ID, until it ends',
        description:
          `The newest ${EVENTS_KEPT} events of a job are kept, so a client that was cut off goes on after the last one that it ` +
          'received, as an EventSource does by itself. It may miss progress, but not the end.',
        params: idParams,
        headers: z
          .object({
            'last-event-id': z
              .string()
              .regex(/^\d{1,9}$/, 'must be the id of an event: a whole number')
              .optional()
              .meta({ description: 'The id of the last event that was received; browsers send it' }),
          })
          .loose(),
        response: {
          200: { description: 'The events', content: { 'text/event-stream': { schema: jobEvents } } },
          204: { description: 'The job has ended, and its last event is Last-Event-ID' },
          ...apiProblems('unknown-job', 'invalid-request', 'too-many-streams', 'not-ready'),
        },
      },
      preHandler: limitStreams(config.MAX_EVENT_STREAMS),
    },
    async (request, reply) => {
      const { id, finishedAt } = await own(request); // an unknown job is a 404, not an empty stream
      const after = Number(request.headers['last-event-id'] ?? 0);
      const source = jobs.events(id, after, disconnectSignal(reply));
      if (!finishedAt) return sendEvents(reply, Readable.from(formatted(source)));
      const first = await source.next(); // of a job that has ended it does not wait
      if (first.done) return reply.code(204).send(); // otherwise an EventSource would return for ever
      return sendEvents(reply, Readable.from(formatted(source, first.value)));
    },
  );

  /** The job of the path. Another client's job is answered like one that does not exist. */
  async function own({ params, apiKey }: FastifyRequest<{ Params: { id: string } }>): Promise<Job> {
    const id = params.id.toLowerCase(); // some clients write UUIDs in capitals
    if (!UUID.safeParse(id).success) throw noSuchJob(id); // it could name another key of Redis, such as the events of a job
    const job = await jobs.get(id);
    if (job.owner === apiKey?.name) return job;
    throw noSuchJob(id);
  }
}

const UUID = z.uuid();

async function* formatted(source: AsyncIterable<JobEvent>, first?: JobEvent) {
  if (first) yield bytesOf(first);
  for await (const event of source) yield bytesOf(event);
}

/** Events on their way to clients. Jobs in memory give all clients the same events, so they are sent the same bytes too. */
const sending = new WeakMap<JobEvent, WeakRef<Buffer>>();

function bytesOf(event: JobEvent): Buffer {
  const bytes = sending.get(event)?.deref() ?? Buffer.from(formatEvent(event.event, event.data, event.id));
  sending.set(event, new WeakRef(bytes));
  return bytes;
}

/** The Idempotency-Key, with a fingerprint of the request as it was sent. */
function idempotencyKey(request: FastifyRequest<{ Body: JobBody }>) {
  const value = request.headers['idempotency-key'];
  if (typeof value !== 'string') return undefined;
  const { image, mask, ...fields } = request.body;
  const hash = createHash('sha256').update(JSON.stringify(fields));
  for (const picture of [image, mask]) hash.update(`|${picture?.length ?? ''}|`).update(picture ?? '');
  return { value, fingerprint: hash.digest('hex') };
}

import type { FastifyInstance } from 'fastify';
import { hasSeveralOwners } from '../config/api-keys.ts';
import type { JobQueue } from '../jobs/job.ts';
import { openJobQueue } from '../jobs/open.ts';
import type { JobRunner } from '../jobs/runner.ts';
import { post } from '../jobs/webhook.ts';
import type { Metrics } from '../metrics.ts';
import { seldom } from '../seldom.ts';
import type { Dependencies } from './dependencies.ts';
import { jobView } from './job-view.ts';
import { toProblem } from './to-problem.ts';

/** Interval at which the number of waiting jobs is read. */
const SAMPLE_MS = 2000;

/** Opens the queue of the settings, with its metric, until the app closes. */
export async function openJobs(
  app: FastifyInstance,
  dependencies: Dependencies,
  runner: JobRunner,
): Promise<JobQueue> {
  const { metrics } = dependencies;
  const jobs = await openQueue(app, dependencies, runner);
  // Not when it is scraped: a scrape must not wait for Redis.
  const sampling = setInterval(() => void sampleWaiting(metrics, jobs), SAMPLE_MS).unref();
  await sampleWaiting(metrics, jobs);
  app.addHook('preClose', () => {
    clearInterval(sampling);
    return jobs.close();
  });
  return jobs;
}

/** While the number is not known the series is absent. */
async function sampleWaiting({ jobsWaiting }: Metrics, jobs: JobQueue) {
  try {
    jobsWaiting.set(await jobs.waiting());
  } catch {
    jobsWaiting.remove();
  }
}

function openQueue(
  { log }: FastifyInstance,
  { config, registry, metrics }: Dependencies,
  runner: JobRunner,
): Promise<JobQueue> {
  for (const result of ['delivered', 'failed']) metrics.webhooks.inc({ result }, 0); // see errors.ts
  const webhooks = { origins: config.WEBHOOK_ORIGINS, secret: config.WEBHOOK_SECRET ?? '' };
  return openJobQueue({
    redisUrl: config.REDIS_URL,
    onRedisError: seldom((err, repeated) => log.warn({ err, repeated }, 'Redis error in the job queue')),
    limit: config.JOB_LIMIT,
    inputBytes: config.JOB_INPUT_BYTES,
    shared: hasSeveralOwners(config.API_KEYS),
    history: config.JOB_HISTORY,
    ttlMs: config.JOB_TTL_MS,
    models: () => registry.list().map(({ ref, state }) => ({ ref, failed: state === 'failed' })),
    // Another replica may have accepted the job for a version that this one has not found yet.
    onUnknownModel: () => void registry.reload(),
    modelWaitMs: config.JOB_MODEL_WAIT_MS,
    perform: runner.perform,
    describeError: (error, id) => {
      const problem = toProblem(error, log);
      metrics.jobsFailed.inc({ reason: problem.slug });
      log.warn({ job: id, problem: problem.slug, detail: problem.message }, 'job failed');
      return problem.toJSON('/v1/jobs');
    },
    notify: async (job, isLastTry) => {
      try {
        await post(job.webhook, job.id, jobView(job, config.BASE_PATH ?? '', registry), webhooks);
        metrics.webhooks.inc({ result: 'delivered' });
      } catch (err) {
        if (isLastTry) {
          metrics.webhooks.inc({ result: 'failed' });
          // Of its address the origin alone: the rest is often a secret.
          log.warn({ job: job.id, origin: new URL(job.webhook).origin, err }, 'webhook given up');
        }
        throw err;
      }
    },
  });
}

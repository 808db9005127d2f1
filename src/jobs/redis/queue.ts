import { type Job as Delivery, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { EngineError } from '../../engine/engine.ts';
import type { ProgressEvent } from '../../generation/progress.ts';
import {
  CONCURRENCY,
  type IdempotencyKey,
  type Job,
  type JobEvent,
  type JobFilter,
  type JobOutcome,
  type JobQueue,
  type JobQueueOptions,
  type JobRequest,
  type JobReservation,
  JobStoreError,
  noSuchJob,
  RESULT_BYTES,
  UnknownJobError,
} from '../job.ts';
import { JobNotifier } from '../notifier.ts';
import { JobReservations } from '../reservations.ts';
import { WEBHOOK_DELAY_MS, WEBHOOK_TRIES } from '../webhook.ts';
import { JobStore } from './store.ts';

export interface RedisQueueOptions extends JobQueueOptions {
  url: string;
  /** Prefix of every key; with a hash tag, for Redis Cluster. */
  prefix?: string;
  /** Called with errors of connections that no request waits for. */
  onError: (error: Error) => void;
}

const PREFIX = '{ddpm-inpaint}:';
/** A replica whose locks are not renewed for this long is considered dead, and others take over its jobs. */
const LOCK_MS = 10_000;
/** Times that a job is taken over from a dead replica before it fails: a job that crashes replicas must not crash all. */
const TAKEOVERS = 20;
/** Attempts after engine failures: another replica may succeed. */
const TRIES = 3;
/** Reconnections, about two seconds, after which a command of a request fails, so that its client gets an answer. */
const RECONNECTIONS = 8;
/** Interval for checking a job's events, in case notifications were missed while Redis was down. */
const POLL_MS = 2000;
/** Interval for adding jobs to BullMQ that a replica stored, but died before adding. */
const ADD_MISSING_MS = 30_000;

interface Payload {
  id: string;
}

/**
 * Jobs on Redis, for any number of replicas: each accepts, runs, reports and serves any job. BullMQ distributes the ids,
 * and redistributes those of a replica that died; JobStore holds everything else. A job may therefore run twice, but ends
 * once, and with the same pictures, since its seed was drawn when it was accepted.
 */
export class RedisJobQueue implements JobQueue {
  readonly #options: RedisQueueOptions;
  /** For commands of requests: fails soon. */
  readonly #requestClient: Redis;
  /** For running jobs: waits until Redis is back. */
  readonly #workerClient: Redis;
  readonly #subscriber: Redis;
  readonly #requestStore: JobStore;
  readonly #store: JobStore;
  readonly #queue: Queue<Payload>;
  readonly #webhooks: Queue<Payload>;
  readonly #workers: Worker<Payload>[];
  readonly #notifier = new JobNotifier();
  readonly #reservations = new JobReservations();
  readonly #closing = new AbortController();
  readonly #addMissingTimer: NodeJS.Timeout;

  /** Rejects with JobStoreError when Redis cannot be reached. */
  static async connect(options: RedisQueueOptions): Promise<RedisJobQueue> {
    const requestClient = new Redis(options.url, { maxRetriesPerRequest: RECONNECTIONS, lazyConnect: true });
    let why = new Error('no answer');
    requestClient.on('error', (error) => {
      why = error;
    });
    try {
      await requestClient.connect();
    } catch {
      requestClient.disconnect();
      throw new JobStoreError(`Redis cannot be reached at REDIS_URL: ${why.message}`);
    }
    return new RedisJobQueue(options, requestClient);
  }

  private constructor(options: RedisQueueOptions, requestClient: Redis) {
    const { url, prefix = PREFIX, limit, retryAfterS, ttlMs, resultBytes = RESULT_BYTES, onError } = options;
    this.#options = options;
    this.#requestClient = requestClient;
    this.#workerClient = new Redis(url, { maxRetriesPerRequest: null });
    this.#subscriber = this.#workerClient.duplicate();
    for (const connection of [this.#workerClient, this.#subscriber]) connection.on('error', onError);
    const bounds = { prefix, limit, retryAfterS, ttlMs, resultBytes };
    this.#requestStore = new JobStore(requestClient, bounds);
    this.#store = new JobStore(this.#workerClient, bounds);

    this.#subscriber.on('message', (_, id) => this.#notifier.notify(id));
    void this.#subscriber.subscribe(`${prefix}news`).catch(onError);

    const names = { prefix: `${prefix}bull` };
    const kept = { removeOnComplete: true, removeOnFail: true };
    const again = (attempts: number, delay: number) => ({
      defaultJobOptions: { ...kept, attempts, backoff: { type: 'exponential', delay } },
    });
    this.#queue = new Queue('jobs', { ...names, connection: requestClient, ...again(TRIES, 1000) });
    this.#webhooks = new Queue('webhooks', {
      ...names,
      connection: this.#workerClient,
      ...again(WEBHOOK_TRIES, WEBHOOK_DELAY_MS),
    });
    const life = { lockDuration: LOCK_MS, stalledInterval: LOCK_MS / 2, maxStalledCount: TAKEOVERS };
    const working = { ...names, ...life, connection: this.#workerClient };
    const { concurrency = CONCURRENCY } = options;
    const jobs = new Worker<Payload>('jobs', (delivery) => this.#process(delivery), {
      ...working,
      concurrency,
    });
    jobs.on('failed', (delivery, error) => void this.#gaveUp(delivery, error).catch(onError));
    const webhooks = new Worker<Payload>('webhooks', ({ data }) => this.#notify(data.id), {
      ...working,
      concurrency: 16,
    });
    this.#workers = [jobs, webhooks];
    for (const queue of [this.#queue, this.#webhooks]) queue.on('error', onError);
    for (const worker of this.#workers) worker.on('error', onError);
    this.#addMissingTimer = setInterval(() => void this.#addMissing().catch(onError), ADD_MISSING_MS).unref();
  }

  find(key: IdempotencyKey, owner: string | undefined): Promise<Job | undefined> {
    return translated(async () => {
      const id = await this.#requestStore.find(key, owner);
      return id === undefined ? undefined : this.#requestStore.get(id);
    });
  }

  async reserve(): Promise<JobReservation> {
    // Counted before waiting for Redis: of many that come at once, each sees those before it.
    const reservation = this.#reservations.add();
    const others = this.#reservations.count - 1;
    try {
      const unfinished = await translated(() => this.#requestStore.unfinishedCount());
      if (unfinished + others >= this.#options.limit) throw this.#requestStore.limitError();
      return reservation;
    } catch (error) {
      reservation.release();
      throw error;
    }
  }

  async submit(request: JobRequest, key?: IdempotencyKey): Promise<{ job: Job; known: boolean }> {
    return translated(async () => {
      const { id, known } = await this.#requestStore.submit(request, key);
      const job = await this.get(id);
      if (!known) await this.#queue.add('job', { id }, { jobId: id });
      return { job, known };
    });
  }

  async get(id: string): Promise<Job> {
    const job = await translated(() => this.#requestStore.get(id));
    if (!job) throw noSuchJob(id);
    return job;
  }

  list(filter: JobFilter): Promise<Job[]> {
    return translated(() => this.#requestStore.list(filter));
  }

  async image(id: string, n: number): Promise<{ file: Uint8Array; mediaType: string }> {
    const { status, images } = await this.get(id);
    const file = await translated(() => this.#requestStore.image(id, n));
    if (!file) throw new UnknownJobError(`job ${id} is ${status} and has ${images} pictures`);
    return { file, mediaType: await translated(() => this.#requestStore.mediaType(id)) };
  }

  async cancel(id: string): Promise<Job> {
    const job = await this.get(id);
    return translated(async () => {
      if (job.finishedAt) {
        await this.#requestStore.forget(id);
        return job;
      }
      await this.#requestStore.finish(id, { status: 'cancelled' });
      await this.#queue.remove(id).catch(() => {}); // a running job stops at its next step
      return this.get(id);
    });
  }

  async *events(id: string, after: number, signal: AbortSignal): AsyncGenerator<JobEvent> {
    for (let last = after; !signal.aborted && !this.#closing.signal.aborted; ) {
      const change = this.#notifier.wait(id, signal, POLL_MS); // before reading, so that no change is missed
      const job = await this.#store.get(id); // waits until Redis is back
      for (const event of await this.#store.events(id, last)) {
        yield event;
        last = event.id;
      }
      if (!job || job.finishedAt) return;
      await change;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#addMissingTimer);
    this.#closing.abort();
    this.#notifier.notifyAll();
    await Promise.all(this.#workers.map((worker) => worker.close()));
    await Promise.all([this.#queue.close(), this.#webhooks.close()]);
    for (const connection of [this.#requestClient, this.#workerClient, this.#subscriber])
      connection.disconnect();
  }

  async #process({ data: { id }, attemptsMade }: Delivery<Payload>) {
    const request = await this.#store.start(id);
    if (!request) return;
    const controller = new AbortController();
    const stop = () => controller.abort(new Error('the job has ended'));
    const onProgress = (event: ProgressEvent) => {
      this.#store.progress(id, event).then((goOn) => goOn || stop(), this.#options.onError);
    };
    const outcome = await this.#options.perform(request, { signal: controller.signal, onProgress }).then(
      (result): JobOutcome => ({ status: 'succeeded', result }),
      (error): JobOutcome => {
        if (error instanceof EngineError && attemptsMade + 1 < TRIES) throw error;
        return { status: 'failed', error: this.#options.describeError(error) };
      },
    );
    if (!controller.signal.aborted) await this.#end(id, outcome);
  }

  /** Called when BullMQ gives up on a job, because too many replicas died while they ran it. */
  async #gaveUp(delivery: Delivery<Payload> | undefined, error: Error) {
    if (!delivery?.finishedOn) return;
    await this.#end(delivery.data.id, { status: 'failed', error: this.#options.describeError(error) });
  }

  /** Adds every unfinished job to BullMQ, which ignores the ids that it already has. */
  async #addMissing() {
    const ids = await this.#store.unfinished();
    await this.#queue.addBulk(ids.map((id) => ({ name: 'job', data: { id }, opts: { jobId: id } })));
  }

  async #end(id: string, outcome: JobOutcome) {
    const { webhook } = (await this.#store.get(id)) ?? {};
    // Added before the job ends, so that the webhook is called even if this replica dies here. Until the job has ended, the
    // delivery fails and is tried again.
    if (webhook) await this.#webhooks.add('ended', { id }, { jobId: id, delay: 100 });
    await this.#store.finish(id, outcome);
  }

  async #notify(id: string) {
    const job = await this.#store.get(id);
    if (!job?.webhook) return;
    if (!job.finishedAt) throw new Error(`job ${id} is still ${job.status}`);
    await this.#options.notify?.({ ...job, webhook: job.webhook });
  }
}

/** Names of the errors that ioredis throws while Redis cannot answer. */
const UNAVAILABLE = ['MaxRetriesPerRequestError', 'ReplyError', 'AbortError'];

/** Turns a failure of Redis into JobStoreError: it is not the client's fault. */
async function translated<T>(command: () => Promise<T>): Promise<T> {
  try {
    return await command();
  } catch (error) {
    const { name, message } = error as Error;
    if (UNAVAILABLE.includes(name) || message === 'Connection is closed.')
      throw new JobStoreError('Redis cannot be reached', { cause: error });
    throw error;
  }
}

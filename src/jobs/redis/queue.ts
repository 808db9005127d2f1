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
  noSuchJob,
  RESULT_BYTES,
  UnknownJobError,
} from '../job.ts';
import { JobNotifier } from '../notifier.ts';
import { JobReservations } from '../reservations.ts';
import { type Connections, connect, disconnect, translated, untilSilent } from './connections.ts';
import { Deliveries, TRIES } from './deliveries.ts';
import { JobStore } from './store.ts';

export interface RedisQueueOptions extends JobQueueOptions {
  url: string;
  /** Prefix of every key; with a hash tag, for Redis Cluster. */
  prefix?: string;
  /** Called with errors of connections that no request waits for. */
  onError: (error: Error) => void;
}

const PREFIX = '{ddpm-inpaint}:';
/** Interval for checking a job's events, in case notifications were missed while Redis was down. */
const POLL_MS = 2000;
/** Interval for adding jobs to BullMQ that a replica stored, but died before adding. */
const ADD_MISSING_MS = 30_000;

/** A webhook is called this long after its job has ended, at first. */
const WEBHOOK_AFTER_MS = 100;

/**
 * Jobs on Redis, for any number of replicas: each accepts, runs, reports and serves any job. BullMQ distributes the ids,
 * and redistributes those of a replica that died; JobStore holds everything else. A job may therefore run twice, but ends
 * once, and with the same pictures, since its seed was drawn when it was accepted.
 */
export class RedisJobQueue implements JobQueue {
  readonly #options: RedisQueueOptions;
  readonly #connections: Connections;
  /** For commands of requests: fails soon. */
  readonly #requestStore: JobStore;
  /** For running jobs: waits until Redis is back. */
  readonly #store: JobStore;
  readonly #deliveries: Deliveries;
  /** Stops the jobs that run here. */
  readonly #running = new Map<string, AbortController>();
  readonly #notifier = new JobNotifier();
  readonly #reservations = new JobReservations();
  readonly #closing = new AbortController();
  readonly #addMissingTimer: NodeJS.Timeout;

  /** Rejects with JobStoreError when Redis cannot be reached, does not answer, or is too old. */
  static async connect(options: RedisQueueOptions): Promise<RedisJobQueue> {
    return new RedisJobQueue(options, await connect(options.url, options.onError));
  }

  private constructor(options: RedisQueueOptions, connections: Connections) {
    const { prefix = PREFIX, limit, retryAfterS, ttlMs, resultBytes = RESULT_BYTES } = options;
    this.#options = options;
    this.#connections = connections;
    const bounds = { prefix, limit, retryAfterS, ttlMs, resultBytes };
    this.#requestStore = new JobStore(connections.request, bounds);
    this.#store = new JobStore(connections.worker, bounds);
    connections.subscriber.on('message', (_, id) => this.#notifier.notify(id));
    void connections.subscriber.subscribe(`${prefix}news`).catch(this.#onError);
    this.#deliveries = new Deliveries({
      prefix,
      connections,
      concurrency: options.concurrency ?? CONCURRENCY,
      process: (id, attemptsMade) => this.#process(id, attemptsMade),
      onGivenUp: (id, error) => this.#fail(id, error),
      notify: (id) => this.#notify(id),
      onError: this.#onError,
    });
    const addMissing = () => void this.#addMissing().catch(this.#onError);
    this.#addMissingTimer = setInterval(addMissing, ADD_MISSING_MS).unref();
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
      if (!known) await this.#deliveries.add([id]);
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
      await this.#deliveries.remove(id); // a running job stops at its next step
      return this.get(id);
    });
  }

  async *events(id: string, after: number, signal: AbortSignal): AsyncGenerator<JobEvent> {
    for (let last = after; !signal.aborted && !this.#closing.signal.aborted; ) {
      const change = this.#notifier.wait(id, signal, POLL_MS); // before reading, so that no change is missed
      const read = await this.#unlessClosing(
        Promise.all([this.#store.get(id), this.#store.events(id, last)]), // wait until Redis is back
      );
      if (!read) return;
      const [job, events] = read;
      for (const event of events) {
        yield event;
        last = event.id;
      }
      if (!job || job.finishedAt) return;
      await change;
    }
  }

  /** Waits for the jobs that run here while Redis answers. If it does not, other replicas take them over later. */
  async close(): Promise<void> {
    clearInterval(this.#addMissingTimer);
    this.#closing.abort();
    this.#notifier.notifyAll();
    const closed = new AbortController();
    const closing = this.#deliveries.close().finally(() => closed.abort());
    await Promise.race([closing, untilSilent(this.#connections, closed.signal)]);
    for (const controller of this.#running.values()) controller.abort(new ShutdownError());
    disconnect(this.#connections);
  }

  async #process(id: string, attemptsMade: number) {
    const request = await this.#store.start(id);
    if (!request) return;
    const controller = new AbortController();
    this.#running.set(id, controller);
    const stop = () => controller.abort(new Error('the job has ended'));
    const onProgress = (event: ProgressEvent) => {
      this.#store.progress(id, event).then((goOn) => goOn || stop(), this.#onError);
    };
    const outcome = await this.#options
      .perform(request, { signal: controller.signal, onProgress })
      .then(
        (result): JobOutcome => ({ status: 'succeeded', result }),
        (error): JobOutcome => {
          if (error instanceof ShutdownError) throw error;
          if (error instanceof EngineError && attemptsMade + 1 < TRIES) throw error;
          return { status: 'failed', error: this.#options.describeError(error) };
        },
      )
      .finally(() => this.#running.delete(id));
    if (!controller.signal.aborted) await this.#end(id, outcome);
  }

  async #fail(id: string, error: Error) {
    await this.#end(id, { status: 'failed', error: this.#options.describeError(error) });
  }

  /** Adds every unfinished job to BullMQ, which ignores the ids that it already has. */
  async #addMissing() {
    await this.#deliveries.add(await this.#store.unfinished());
  }

  async #end(id: string, outcome: JobOutcome) {
    const { webhook } = (await this.#store.get(id)) ?? {};
    // Added before the job ends, so that the webhook is called even if this replica dies here. Until the job has ended, the
    // delivery fails and is tried again.
    if (webhook) await this.#deliveries.addWebhook(id, WEBHOOK_AFTER_MS);
    await this.#store.finish(id, outcome);
  }

  async #notify(id: string) {
    const job = await this.#store.get(id);
    if (!job?.webhook) return;
    if (!job.finishedAt) throw new Error(`job ${id} is still ${job.status}`);
    await this.#options.notify?.({ ...job, webhook: job.webhook });
  }

  /** Closing the connections makes the commands that wait for Redis fail: undefined then. */
  async #unlessClosing<T>(command: Promise<T>): Promise<T | undefined> {
    try {
      return await command;
    } catch (error) {
      if (this.#closing.signal.aborted) return undefined;
      throw error;
    }
  }

  readonly #onError = (error: Error) => {
    if (!this.#closing.signal.aborted) this.#options.onError(error);
  };
}

/** The service ends while Redis does not answer: what the job has done is lost, and another replica runs it. */
class ShutdownError extends Error {
  override name = 'ShutdownError';
}

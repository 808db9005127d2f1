import { pictureBudget } from '../../image/budget.ts';
import {
  CONCURRENCY,
  HISTORY,
  type IdempotencyKey,
  INPUT_BYTES,
  type Job,
  type JobClaim,
  type JobEvent,
  type JobFilter,
  type JobPicture,
  type JobQueue,
  type JobQueueOptions,
  type JobRequest,
  type JobReservation,
  NoPictureError,
  noSuchJob,
  RESULT_BYTES,
} from '../job.ts';
import { JobNotifier } from '../notifier.ts';
import { Loads } from '../room.ts';
import { type Connections, connect, disconnect, translated, untilSilent } from './connections.ts';
import { Deliveries } from './deliveries.ts';
import { Performer } from './performer.ts';
import { EVENTS_AT_ONCE, type Held, JobStore } from './store.ts';

export interface RedisQueueOptions extends JobQueueOptions {
  url: string;
  /** Prefix of every key; with a hash tag, for Redis Cluster. */
  prefix?: string;
  /** Called with every error of Redis. */
  onError: (error: Error) => void;
}

const PREFIX = '{ddpm-inpaint}:';
const DEFAULTS = { history: HISTORY, resultBytes: RESULT_BYTES, inputBytes: INPUT_BYTES, shared: false };
/** Interval for checking a job's events, in case notifications were missed while Redis was down. */
const POLL_MS = 2000;
/** Interval for dropping expired jobs, and for adding jobs to BullMQ that a replica stored, but died before adding. */
const TIDY_MS = 30_000;

/** Interval at which a replica announces its models, and the time after which an announcement that is not renewed expires. */
const ANNOUNCE_MS = 5000;
const ANNOUNCED_MS = 20_000;

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
  readonly #performer: Performer;
  readonly #notifier = new JobNotifier();
  /** Of the jobs that are being checked in this process. */
  readonly #reserved = new Loads();
  readonly #closing = new AbortController();
  readonly #timers: NodeJS.Timeout[];
  /** Of the unfinished jobs that #tidy() looks at next. */
  #cursor = '0';

  /** Rejects with JobStoreError when Redis cannot be reached, refuses a command, or is too old. */
  static async connect(options: RedisQueueOptions): Promise<RedisJobQueue> {
    return new RedisJobQueue(options, await connect(options.url, options.onError));
  }

  private constructor(options: RedisQueueOptions, connections: Connections) {
    const { prefix = PREFIX, url, onError: _, ...limits } = options;
    this.#options = options;
    this.#connections = connections;
    const bounds = { ...DEFAULTS, ...limits, prefix };
    this.#requestStore = new JobStore(connections.request, connections.pictures, bounds);
    this.#store = new JobStore(connections.worker, connections.worker, bounds);
    const onError = this.#onError;
    const addWebhook = (id: string, delayMs: number) => this.#deliveries.addWebhook(id, delayMs);
    this.#performer = new Performer({ ...options, addWebhook, onError }, this.#store);
    const { process, onGivenUp, notify } = this.#performer;
    const { concurrency = CONCURRENCY } = options;
    this.#deliveries = new Deliveries({
      prefix,
      connections,
      concurrency,
      process,
      onGivenUp,
      notify,
      onError,
    });
    const every = (ms: number, work: () => Promise<void>) =>
      setInterval(() => void work().catch(this.#onError), ms).unref();
    this.#timers = [
      every(TIDY_MS, () => this.#tidy()),
      every(ANNOUNCE_MS, () => this.#performer.announce(ANNOUNCED_MS)),
    ];
    this.#subscribe(prefix);
    void this.#performer.announce(ANNOUNCED_MS).catch(this.#onError);
  }

  find(key: IdempotencyKey, owner: string | undefined): Promise<Job | undefined> {
    return this.#ask(async () => {
      const id = await this.#requestStore.find(key, owner);
      return id === undefined ? undefined : this.#requestStore.get(id);
    });
  }

  async reserve(wanted: JobClaim): Promise<JobReservation> {
    // Counted before waiting for Redis: of many that come at once, each sees those before it.
    const others = this.#held(wanted.owner);
    const release = this.#reserved.add(wanted.owner, wanted.bytes);
    try {
      await this.#ask(() => this.#requestStore.assertRoom(wanted, others));
      return { release };
    } catch (error) {
      release();
      throw error;
    }
  }

  async submit(request: JobRequest, key?: IdempotencyKey): Promise<{ job: Job; known: boolean }> {
    return this.#ask(async () => {
      const { known, ...ticket } = await this.#requestStore.submit(request, key, this.#held(request.owner));
      const job = await this.get(ticket.id);
      // It is stored, so it is accepted: if Redis refuses this now, #tidy() adds it later.
      if (!known) await this.#deliveries.add([ticket]).catch(this.#onError);
      return { job, known };
    });
  }

  #held(owner: string | undefined): Held {
    return { held: { ...this.#reserved.total }, own: { ...this.#reserved.of(owner) } };
  }

  async get(id: string): Promise<Job> {
    const job = await this.#ask(() => this.#requestStore.get(id));
    if (!job) throw noSuchJob(id);
    return job;
  }

  list(filter: JobFilter): Promise<Job[]> {
    return this.#ask(() => this.#requestStore.list(filter));
  }

  async image(id: string, n: number): Promise<JobPicture> {
    const job = await this.get(id);
    const store = this.#requestStore;
    const bytes = await this.#ask(() => store.imageBytes(id, n));
    // Each client has a copy of its own. A picture of a replica with more memory can be sent too, alone.
    const { release } = pictureBudget.reserve(Math.min(bytes, pictureBudget.holdable));
    try {
      const mediaType = await this.#ask(() => store.mediaType(id));
      const file = await this.#ask(() => store.image(id, n));
      if (file) return { file, mediaType, release };
      throw new NoPictureError(job);
    } catch (error) {
      release();
      throw error;
    }
  }

  async cancel(id: string): Promise<Job> {
    const job = await this.get(id);
    return this.#ask(async () => {
      if (job.finishedAt) {
        await this.#requestStore.forget(id);
        return job;
      }
      await this.#requestStore.finish(id, { status: 'cancelled' });
      await this.#deliveries.remove(id);
      return this.get(id);
    });
  }

  async *events(id: string, after: number, signal: AbortSignal): AsyncGenerator<JobEvent> {
    const start = after && (await this.#unlessClosing(this.#store.resumedAfter(id, after)));
    if (start === undefined) return;
    for (let last: number = start; !signal.aborted && !this.#closing.signal.aborted; ) {
      const change = this.#notifier.wait(id, signal, POLL_MS); // before reading, so that no change is missed
      let more = true;
      while (more) {
        const read = await this.#unlessClosing(
          Promise.all([this.#store.get(id), this.#store.events(id, last)]), // wait until Redis is back
        );
        if (!read) return;
        const [job, events] = read;
        for (const event of events) {
          yield event;
          last = event.id;
        }
        more = events.length === EVENTS_AT_ONCE;
        if (!more && (!job || job.finishedAt)) return;
      }
      await change;
    }
  }

  waiting(): Promise<number> {
    return this.#ask(() => this.#requestStore.waiting());
  }

  /** Waits for the jobs that run here while Redis answers. If it does not, other replicas take them over later. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#closing.abort();
    this.#notifier.notifyAll();
    const closed = new AbortController();
    const closing = this.#deliveries.close().finally(() => closed.abort());
    await Promise.race([closing, untilSilent(this.#connections, closed.signal)]);
    this.#performer.stop();
    disconnect(this.#connections);
  }

  /** Drops expired jobs, and adds a page of the unfinished ones to BullMQ, which ignores the ids that it already has. */
  async #tidy() {
    await this.#store.trim();
    const { tickets, next } = await this.#store.unfinished(this.#cursor);
    this.#cursor = next;
    await this.#deliveries.add(tickets);
  }

  #subscribe(prefix: string) {
    const { subscriber } = this.#connections;
    subscriber.on('message', (channel, id) => {
      if (channel === `${prefix}ended`) this.#performer.cancel(id);
      else this.#notifier.notify(id);
    });
    void subscriber.subscribe(`${prefix}news`, `${prefix}ended`).catch(this.#onError);
  }

  #ask<T>(command: () => Promise<T>): Promise<T> {
    return translated(command, this.#onError);
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

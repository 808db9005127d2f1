import {
  CONCURRENCY,
  EVENTS_KEPT,
  HISTORY,
  IdempotencyConflictError,
  type IdempotencyKey,
  INPUT_BYTES,
  inputBytesOf,
  type Job,
  type JobClaim,
  type JobEvent,
  type JobFilter,
  type JobOutcome,
  type JobPicture,
  type JobQueue,
  type JobQueueOptions,
  type JobRequest,
  type JobReservation,
  type JobResult,
  JobStoreError,
  lastEvent,
  NoPictureError,
  noSuchJob,
  ownedKey,
  RESULT_BYTES,
  resumedAfter,
} from './job.ts';
import { JobIndex } from './job-index.ts';
import { JobNotifier } from './notifier.ts';
import { Loads, limitError, refusal } from './room.ts';
import { Turns } from './turns.ts';
import { retried } from './webhook.ts';

export interface MemoryQueueOptions extends JobQueueOptions {
  /** A clock that only goes forward, in milliseconds. */
  now?: () => number;
  /** What jobs say about their times. */
  date?: () => Date;
}

const DEFAULTS = {
  inputBytes: INPUT_BYTES,
  shared: false,
  history: HISTORY,
  resultBytes: RESULT_BYTES,
  concurrency: CONCURRENCY,
  now: () => performance.now(),
  date: () => new Date(),
  notify: (async () => {}) as NonNullable<JobQueueOptions['notify']>,
};

interface Entry {
  job: Job;
  /** Dropped when the job has ended: its input pictures are no longer needed. */
  request: JobRequest | undefined;
  /** Releases its room among the unfinished jobs. */
  release: () => void;
  controller: AbortController;
  /** The newest EVENTS_KEPT. */
  events: JobEvent[];
  startedMs?: number;
  endedMs?: number;
  result?: JobResult;
  /** Of its pictures and events, once it has ended. */
  bytes: number;
  key?: IdempotencyKey;
}

/** Jobs in this process's memory, bounded in number, bytes and time. A restart loses all of them; Redis keeps them. */
export class MemoryJobQueue implements JobQueue {
  readonly #options: MemoryQueueOptions & typeof DEFAULTS;
  readonly #entries = new Map<string, Entry>();
  readonly #index = new JobIndex();
  /** By owner and value. */
  readonly #keys = new Map<string, Entry>();
  /** Unfinished jobs, and those that are being checked. */
  readonly #loads = new Loads();
  readonly #waiting = new Turns<Entry>();
  /** Jobs that run, and those that were cancelled and have not stopped yet. */
  readonly #running = new Map<Entry, Promise<void>>();
  /** Finished jobs, in order of ending, and the bytes of their pictures and events. */
  readonly #ended = new Set<Entry>();
  #keptBytes = 0;
  readonly #notifier = new JobNotifier();
  readonly #closing = new AbortController();

  constructor(options: MemoryQueueOptions) {
    this.#options = { ...DEFAULTS, ...options };
  }

  async find(key: IdempotencyKey, owner: string | undefined): Promise<Job | undefined> {
    return this.#findByKey(key, owner);
  }

  #findByKey(key: IdempotencyKey, owner: string | undefined): Job | undefined {
    this.#dropOld();
    const entry = this.#keys.get(ownedKey(key, owner));
    if (entry && entry.key?.fingerprint !== key.fingerprint) throw new IdempotencyConflictError(key);
    return entry?.job;
  }

  async reserve(wanted: JobClaim): Promise<JobReservation> {
    this.#assertRoom(wanted);
    return { release: this.#loads.add(wanted.owner, wanted.bytes) };
  }

  async submit(request: JobRequest, key?: IdempotencyKey): Promise<{ job: Job; known: boolean }> {
    const { id, task, work, owner, webhook } = request;
    if (this.#closing.signal.aborted) throw new JobStoreError('the service is shutting down');
    const known = key && this.#findByKey(key, owner); // nothing is awaited before the job is stored
    if (known) return { job: known, known: true };
    const claim = { owner, bytes: inputBytesOf(request) };
    this.#assertRoom(claim);
    const position = this.#waiting.size + this.#running.size;
    const progress = { step: 0, of: 0 };
    const createdAt = this.#options.date();
    const parameters = request.fields;
    const entry: Entry = {
      job: { id, task, status: 'queued', progress, createdAt, parameters, work, images: 0, webhook, owner },
      request,
      release: this.#loads.add(owner, claim.bytes),
      controller: new AbortController(),
      events: [],
      bytes: 0,
      key,
    };
    this.#entries.set(id, entry);
    this.#index.add(entry.job);
    if (key) this.#keys.set(ownedKey(key, owner), entry);
    this.#waiting.add(owner, entry);
    this.#tell(entry, { event: 'queued', data: { position } });
    this.#pump();
    return { job: entry.job, known: false };
  }

  async get(id: string): Promise<Job> {
    return this.#find(id).job;
  }

  async list(filter: JobFilter): Promise<Job[]> {
    this.#dropOld();
    return this.#index.list(filter);
  }

  /** The metrics ask for it every few seconds: jobs expire in time even when no client asks for any. */
  async waiting(): Promise<number> {
    this.#dropOld();
    return this.#waiting.size;
  }

  async image(id: string, n: number): Promise<JobPicture> {
    const { job, result } = this.#find(id);
    const file = result?.files[n];
    if (!result || !file) throw new NoPictureError(job);
    return { file, mediaType: result.mediaType, release: () => {} }; // kept anyway, however many are sent it
  }

  async cancel(id: string): Promise<Job> {
    const entry = this.#find(id);
    if (entry.job.finishedAt) this.#forget(entry);
    else {
      this.#end(entry, { status: 'cancelled' });
      entry.controller.abort(new Error('the job was cancelled'));
    }
    return entry.job;
  }

  async *events(id: string, after: number, signal: AbortSignal): AsyncGenerator<JobEvent> {
    const entry = this.#find(id);
    for (let last = resumedAfter(after, entry.events.at(-1)?.id ?? 0, entry.job); !signal.aborted; ) {
      for (const event of entry.events.filter((event) => event.id > last)) {
        yield event;
        last = event.id;
      }
      if (last < (entry.events.at(-1)?.id ?? 0)) continue; // more came while those were being sent
      if (entry.job.finishedAt) return;
      await this.#notifier.wait(id, signal);
    }
  }

  /** Waits for the jobs that run; those that wait are cancelled. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const { job } of [...this.#waiting.all()]) await this.cancel(job.id);
    await Promise.all(this.#running.values());
  }

  /** Starts waiting jobs while fewer than `concurrency` run. */
  #pump() {
    while (!this.#closing.signal.aborted && this.#running.size < this.#options.concurrency) {
      const entry = this.#waiting.next();
      if (!entry?.request) return;
      const run = this.#run(entry, entry.request).finally(() => {
        this.#running.delete(entry);
        this.#pump();
      });
      this.#running.set(entry, run);
    }
  }

  async #run(entry: Entry, request: JobRequest) {
    const { job, controller } = entry;
    this.#index.setStatus(job, 'running');
    job.startedAt = this.#options.date();
    entry.startedMs = this.#options.now();
    try {
      const result = await this.#options.perform(request, {
        signal: controller.signal,
        onProgress: (data) => {
          if (job.finishedAt) return;
          job.progress = { step: data.step, of: data.of };
          this.#tell(entry, { event: 'progress', data });
        },
      });
      this.#end(entry, { status: 'succeeded', result });
    } catch (error) {
      if (!job.finishedAt)
        this.#end(entry, { status: 'failed', error: this.#options.describeError(error, job.id) });
    }
  }

  /** The first outcome counts: a job that was cancelled at the last moment stays cancelled. */
  #end(entry: Entry, outcome: JobOutcome) {
    const { job } = entry;
    if (job.finishedAt) return;
    if (outcome.status === 'succeeded') {
      entry.result = outcome.result;
      job.images = outcome.result.files.length;
    }
    if (outcome.status === 'failed') job.error = outcome.error;
    this.#index.setStatus(job, outcome.status);
    job.finishedAt = this.#options.date();
    entry.endedMs = this.#options.now();
    entry.request = undefined;
    entry.release();
    this.#waiting.remove(job.owner, entry);
    this.#ended.add(entry);
    this.#tell(entry, lastEvent(outcome));
    entry.bytes = sizeOf(entry);
    this.#keptBytes += entry.bytes;
    this.#dropOld();
    const { webhook } = job;
    if (webhook && outcome.status !== 'cancelled')
      void retried((isLast) => this.#options.notify({ ...job, webhook }, isLast), this.#closing.signal);
  }

  #tell(entry: Entry, event: Omit<JobEvent, 'id'>) {
    const { events, job } = entry;
    events.push({ ...event, id: (events.at(-1)?.id ?? 0) + 1 });
    if (events.length > EVENTS_KEPT) events.shift();
    this.#notifier.notify(job.id);
  }

  /** Deletes finished jobs that have expired, and the oldest ones while there are too many, or too many bytes. */
  #dropOld() {
    const { now, ttlMs, history, resultBytes } = this.#options;
    for (const entry of this.#ended) {
      const expired = now() - (entry.endedMs ?? 0) >= ttlMs;
      const over = this.#ended.size > history || this.#keptBytes > resultBytes;
      const newest = this.#ended.size === 1; // it was not read yet
      if (!expired && (newest || !over)) return;
      this.#forget(entry);
    }
  }

  #forget(entry: Entry) {
    const { job, key } = entry;
    this.#entries.delete(job.id);
    this.#index.remove(job);
    if (key && this.#keys.get(ownedKey(key, job.owner)) === entry)
      this.#keys.delete(ownedKey(key, job.owner));
    if (this.#ended.delete(entry)) this.#keptBytes -= entry.bytes;
  }

  #find(id: string): Entry {
    this.#dropOld();
    const entry = this.#entries.get(id);
    if (!entry) throw noSuchJob(id);
    return entry;
  }

  /** Throws JobLimitError when there is no room for a job. */
  #assertRoom({ owner, bytes }: JobClaim) {
    const full = refusal(this.#options, this.#loads.total, this.#loads.of(owner), bytes);
    if (!full) return;
    const now = this.#options.now();
    const running = [...this.#running.keys()].map(({ job: { progress }, startedMs = now }) => ({
      elapsedMs: now - startedMs,
      ...progress,
    }));
    throw limitError(this.#options, full, running);
  }
}

/** Bytes of a job's pictures, and of its events as JSON: they may contain previews. */
function sizeOf({ result, events }: Entry): number {
  const texts = events.map(({ data }) => JSON.stringify(data));
  return [...(result?.files ?? []), ...texts].reduce((sum, { length }) => sum + length, 0);
}

import { randomUUID } from 'node:crypto';
import { QueueFullError } from '../scheduler/scheduler.ts';
import {
  IdempotencyConflictError,
  type Job,
  type JobEvent,
  type JobRequest,
  type JobStatus,
  type Outcome,
  type Perform,
  UnknownJobError,
} from './job.ts';

export interface MemoryQueueOptions {
  perform: Perform;
  /** Turns what a job threw into the problem document it ends with. */
  describeError: (error: unknown) => object;
  /** Jobs waiting or running; more are refused with QueueFullError. */
  limit: number;
  /** How long a finished job and its pictures are kept. */
  ttlMs: number;
  /** Encoded pictures kept in all; past it the oldest finished jobs go before their time. */
  resultBytes?: number;
  /** Jobs that run side by side: the scheduler shares the network among them. */
  concurrency?: number;
  now?: () => number;
}

interface Entry {
  job: Job;
  /** Dropped when the job has ended: nobody needs the pictures that came in any more. */
  request: JobRequest | undefined;
  controller: AbortController;
  events: JobEvent[];
  outcome?: Outcome;
  key?: { value: string; fingerprint: string };
  /** Called when there is a new event. */
  listeners: Set<() => void>;
}

const RESULT_BYTES = 256 * 1024 * 1024;
const CONCURRENCY = 8;
const RETRY_MS = 250;

/**
 * Jobs in this process's memory: bounded in number, bytes and time. A restart loses them all; that is what a queue on
 * Redis is for.
 */
export class MemoryJobQueue {
  readonly #options: Required<MemoryQueueOptions>;
  /** In order of arrival. */
  readonly #entries = new Map<string, Entry>();
  readonly #running = new Set<Promise<void>>();
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: MemoryQueueOptions) {
    this.#options = { resultBytes: RESULT_BYTES, concurrency: CONCURRENCY, now: Date.now, ...options };
  }

  /**
   * Takes a job. With a key that was seen before, the job it was seen with.
   * Throws QueueFullError, and IdempotencyConflictError when the key came with another fingerprint.
   */
  submit(request: JobRequest, key?: { value: string; fingerprint: string }): { job: Job; known: boolean } {
    this.#forget();
    const before = key && this.#all().find((entry) => entry.key?.value === key.value);
    if (before) {
      if (before.key?.fingerprint === key.fingerprint) return { job: before.job, known: true };
      throw new IdempotencyConflictError(`Idempotency-Key ${key.value} came with another request before`);
    }
    const unfinished = this.#all().filter(({ job }) => !job.finishedAt).length;
    if (unfinished >= this.#options.limit) throw new QueueFullError(10);
    const entry: Entry = {
      job: {
        id: randomUUID(),
        task: request.task,
        status: 'queued',
        progress: { step: 0, of: 0 },
        createdAt: this.#date(),
        parameters: request.fields,
        images: 0,
      },
      request,
      controller: new AbortController(),
      events: [],
      key,
      listeners: new Set(),
    };
    this.#entries.set(entry.job.id, entry);
    this.#tell(entry, 'queued', { position: unfinished });
    this.#pump();
    return { job: entry.job, known: false };
  }

  /** Throws UnknownJobError. */
  get(id: string): Job {
    return this.#find(id).job;
  }

  /** Newest first. */
  list({ status, limit }: { status?: JobStatus; limit: number }): Job[] {
    this.#forget();
    const jobs = this.#all().map(({ job }) => job);
    return jobs
      .filter((job) => !status || job.status === status)
      .reverse()
      .slice(0, limit);
  }

  /** Its nth picture. Throws UnknownJobError when there is none (yet). */
  image(id: string, n: number): { file: Uint8Array; mediaType: string } {
    const { job, outcome } = this.#find(id);
    const file = outcome?.files[n];
    if (!outcome || !file)
      throw new UnknownJobError(`job ${id} is ${job.status} and has ${job.images} pictures`);
    return { file, mediaType: outcome.mediaType };
  }

  /** Ends a job that waits or runs, at its next step; forgets one that has ended. */
  cancel(id: string): Job {
    const entry = this.#find(id);
    if (entry.job.finishedAt) this.#entries.delete(id);
    else {
      this.#end(entry, 'cancelled');
      this.#tell(entry, 'cancelled', {});
      entry.controller.abort(new Error('the job was cancelled'));
    }
    return entry.job;
  }

  /** The job's events after the given id, those to come included; ends with the job or when the signal aborts. */
  async *events(id: string, after: number, signal: AbortSignal): AsyncGenerator<JobEvent> {
    const entry = this.#find(id);
    for (let next = after; !signal.aborted; ) {
      while (next < entry.events.length) yield entry.events[next++];
      if (entry.job.finishedAt) return;
      await new Promise<void>((resolve) => {
        const wake = () => {
          entry.listeners.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        entry.listeners.add(wake);
        signal.addEventListener('abort', wake);
      });
    }
  }

  /** Waits for the jobs that run; those that wait are cancelled. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    for (const { job } of this.#all()) if (job.status === 'queued') this.cancel(job.id);
    await Promise.all(this.#running);
  }

  /** Starts waiting jobs while there is room for them. */
  #pump() {
    if (this.#closed || this.#retry) return;
    for (const entry of this.#all()) {
      if (this.#running.size >= this.#options.concurrency) return;
      if (entry.job.status === 'queued' && entry.request) this.#start(entry, entry.request);
    }
  }

  #start(entry: Entry, request: JobRequest) {
    const run = this.#run(entry, request).finally(() => {
      this.#running.delete(run);
      this.#pump();
    });
    this.#running.add(run);
  }

  async #run(entry: Entry, request: JobRequest) {
    const { job, controller } = entry;
    job.status = 'running';
    job.startedAt ??= this.#date();
    try {
      const outcome = await this.#options.perform(request, {
        signal: controller.signal,
        onProgress: (data) => {
          job.progress = { step: data.step, of: data.of };
          this.#tell(entry, 'progress', data);
        },
      });
      if (job.finishedAt) return; // cancelled at the last moment
      entry.outcome = outcome;
      job.images = outcome.files.length;
      this.#end(entry, 'succeeded');
      this.#tell(entry, 'result', outcome.answer);
    } catch (error) {
      if (job.finishedAt) return;
      if (error instanceof QueueFullError) return this.#later(entry);
      job.error = this.#options.describeError(error);
      this.#end(entry, 'failed');
      this.#tell(entry, 'error', job.error);
    }
  }

  /** The network is full of other people's requests: a job waits, it does not fail. */
  #later({ job }: Entry) {
    job.status = 'queued';
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#pump();
    }, RETRY_MS).unref();
  }

  #end(entry: Entry, status: JobStatus) {
    entry.job.status = status;
    entry.job.finishedAt = this.#date();
    entry.request = undefined;
  }

  #tell(entry: Entry, event: JobEvent['event'], data: object) {
    entry.events.push({ id: entry.events.length + 1, event, data });
    for (const listener of [...entry.listeners]) listener();
  }

  /** Lets go of what has been kept long enough, and of the oldest where there is too much. */
  #forget() {
    const finished = this.#all().filter(({ job }) => job.finishedAt);
    let bytes = finished.reduce((sum, entry) => sum + size(entry), 0);
    for (const entry of finished) {
      const age = this.#options.now() - Number(entry.job.finishedAt);
      if (age < this.#options.ttlMs && bytes <= this.#options.resultBytes) continue;
      bytes -= size(entry);
      this.#entries.delete(entry.job.id);
    }
  }

  #find(id: string): Entry {
    this.#forget();
    const entry = this.#entries.get(id);
    if (!entry) throw new UnknownJobError(`there is no job ${id}; finished jobs are kept for a while only`);
    return entry;
  }

  #all(): Entry[] {
    return [...this.#entries.values()];
  }

  #date(): Date {
    return new Date(this.#options.now());
  }
}

function size({ outcome }: Entry): number {
  return outcome?.files.reduce((sum, { length }) => sum + length, 0) ?? 0;
}

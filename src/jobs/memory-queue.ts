import {
  CONCURRENCY,
  EVENTS_KEPT,
  IdempotencyConflictError,
  type IdempotencyKey,
  isListed,
  type Job,
  type JobEvent,
  type JobFilter,
  JobLimitError,
  type JobOutcome,
  type JobQueue,
  type JobQueueOptions,
  type JobRequest,
  type JobReservation,
  type JobResult,
  lastEvent,
  noSuchJob,
  RESULT_BYTES,
  UnknownJobError,
} from './job.ts';
import { JobNotifier } from './notifier.ts';
import { JobReservations } from './reservations.ts';
import { retried } from './webhook.ts';

export interface MemoryQueueOptions extends JobQueueOptions {
  now?: () => number;
}

interface Entry {
  job: Job;
  /** Dropped when the job has ended: its input pictures are no longer needed. */
  request: JobRequest | undefined;
  controller: AbortController;
  /** The newest EVENTS_KEPT. */
  events: JobEvent[];
  result?: JobResult;
  key?: IdempotencyKey;
}

/** Jobs in this process's memory, bounded in number, bytes and time. A restart loses all of them; Redis keeps them. */
export class MemoryJobQueue implements JobQueue {
  readonly #options: Required<MemoryQueueOptions>;
  /** In order of arrival. */
  readonly #entries = new Map<string, Entry>();
  readonly #running = new Set<Promise<void>>();
  readonly #notifier = new JobNotifier();
  readonly #closing = new AbortController();
  readonly #reservations = new JobReservations();

  constructor(options: MemoryQueueOptions) {
    const defaults = {
      resultBytes: RESULT_BYTES,
      concurrency: CONCURRENCY,
      now: Date.now,
      notify: async () => {},
    };
    this.#options = { ...defaults, ...options };
  }

  async find(key: IdempotencyKey, owner: string | undefined): Promise<Job | undefined> {
    this.#dropOld();
    const same = ({ key: known, job }: Entry) => known?.value === key.value && job.owner === owner;
    const entry = this.#all().find(same);
    if (entry && entry.key?.fingerprint !== key.fingerprint) throw new IdempotencyConflictError(key);
    return entry?.job;
  }

  async reserve(): Promise<JobReservation> {
    if (this.#unfinished() + this.#reservations.count >= this.#options.limit) throw this.#limitError();
    return this.#reservations.add();
  }

  async submit(request: JobRequest, key?: IdempotencyKey): Promise<{ job: Job; known: boolean }> {
    const known = key && (await this.find(key, request.owner));
    if (known) return { job: known, known: true };
    const unfinished = this.#unfinished();
    if (unfinished >= this.#options.limit) throw this.#limitError();
    const entry: Entry = {
      job: {
        id: request.id,
        task: request.task,
        status: 'queued',
        progress: { step: 0, of: 0 },
        createdAt: this.#date(),
        parameters: request.fields,
        images: 0,
        webhook: request.webhook,
        owner: request.owner,
      },
      request,
      controller: new AbortController(),
      events: [],
      key,
    };
    this.#entries.set(entry.job.id, entry);
    this.#tell(entry, { event: 'queued', data: { position: unfinished } });
    this.#pump();
    return { job: entry.job, known: false };
  }

  async get(id: string): Promise<Job> {
    return this.#find(id).job;
  }

  async list(filter: JobFilter): Promise<Job[]> {
    this.#dropOld();
    const jobs = this.#all().map(({ job }) => job);
    return jobs
      .filter((job) => isListed(job, filter))
      .reverse()
      .slice(0, filter.limit);
  }

  async image(id: string, n: number): Promise<{ file: Uint8Array; mediaType: string }> {
    const { job, result } = this.#find(id);
    const file = result?.files[n];
    if (!result || !file)
      throw new UnknownJobError(`job ${id} is ${job.status} and has ${job.images} pictures`);
    return { file, mediaType: result.mediaType };
  }

  async cancel(id: string): Promise<Job> {
    const entry = this.#find(id);
    if (entry.job.finishedAt) this.#entries.delete(id);
    else {
      this.#end(entry, { status: 'cancelled' });
      entry.controller.abort(new Error('the job was cancelled'));
    }
    return entry.job;
  }

  async *events(id: string, after: number, signal: AbortSignal): AsyncGenerator<JobEvent> {
    const entry = this.#find(id);
    for (let last = after; !signal.aborted; ) {
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
    for (const { job } of this.#all()) if (job.status === 'queued') await this.cancel(job.id);
    await Promise.all(this.#running);
  }

  /** Starts waiting jobs while fewer than `concurrency` run. */
  #pump() {
    if (this.#closing.signal.aborted) return;
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
    job.startedAt = this.#date();
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
      if (!job.finishedAt) this.#end(entry, { status: 'failed', error: this.#options.describeError(error) });
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
    job.status = outcome.status;
    job.finishedAt = this.#date();
    entry.request = undefined;
    this.#tell(entry, lastEvent(outcome));
    const { webhook } = job;
    if (webhook && outcome.status !== 'cancelled')
      void retried(() => this.#options.notify({ ...job, webhook }), this.#closing.signal);
  }

  #tell(entry: Entry, event: Omit<JobEvent, 'id'>) {
    const { events, job } = entry;
    events.push({ ...event, id: (events.at(-1)?.id ?? 0) + 1 });
    if (events.length > EVENTS_KEPT) events.shift();
    this.#notifier.notify(job.id);
  }

  /**
   * Deletes finished jobs that are older than the TTL, and while their pictures take too many bytes those that finished
   * first. The last one is kept, however large it is: otherwise its work would be lost.
   */
  #dropOld() {
    const finished = this.#all()
      .filter(({ job }) => job.finishedAt)
      .sort((a, b) => Number(a.job.finishedAt) - Number(b.job.finishedAt));
    const last = finished.at(-1);
    let bytes = finished.reduce((sum, entry) => sum + size(entry), 0);
    for (const entry of finished) {
      const age = this.#options.now() - Number(entry.job.finishedAt);
      if (age < this.#options.ttlMs && (bytes <= this.#options.resultBytes || entry === last)) continue;
      bytes -= size(entry);
      this.#entries.delete(entry.job.id);
    }
  }

  #find(id: string): Entry {
    this.#dropOld();
    const entry = this.#entries.get(id);
    if (!entry) throw noSuchJob(id);
    return entry;
  }

  #unfinished(): number {
    return this.#all().filter(({ job }) => !job.finishedAt).length;
  }

  #limitError(): JobLimitError {
    return new JobLimitError(this.#options.limit, this.#options.retryAfterS());
  }

  #all(): Entry[] {
    return [...this.#entries.values()];
  }

  #date(): Date {
    return new Date(this.#options.now());
  }
}

function size({ result }: Entry): number {
  return result?.files.reduce((sum, { length }) => sum + length, 0) ?? 0;
}

import type { Redis } from 'ioredis';
import type { ProgressEvent } from '../../generation/progress.ts';
import { asBuffer } from '../../image/buffer.ts';
import {
  EVENTS_KEPT,
  IdempotencyConflictError,
  type IdempotencyKey,
  inputBytesOf,
  JOB_STATUSES,
  type Job,
  type JobClaim,
  type JobEvent,
  type JobFilter,
  type JobOutcome,
  type JobRequest,
  type JobStatus,
  lastEvent,
  ownedKey,
  resumedAfter,
} from '../job.ts';
import { type Load, limitError, type RoomOptions, type Running } from '../room.ts';
import { CHECK_ROOM, FINISH, FORGET, GIVE_BACK, PROGRESS, START, SUBMIT, TRIM } from './scripts.ts';

export interface StoreOptions extends RoomOptions {
  /** Prefix of every key; with a hash tag, for Redis Cluster. */
  prefix: string;
  ttlMs: number;
  history: number;
  resultBytes: number;
}

/** Room that is held for requests which are being checked in this process: in all, and of the owner. */
export interface Held {
  held: Load;
  own: Load;
}

/** A job on its way to a replica; the smallest priority goes first. */
export interface Ticket {
  id: string;
  priority: number;
}

/** BullMQ's greatest priority is 2^21. */
const MAX_TAG = 2_000_000;
/** Unfinished jobs read at a time. */
const PAGE = 1000;
/** Events of a job read at a time. */
export const EVENTS_AT_ONCE = 4;

/** The records, pictures and events of jobs in Redis, shared by all replicas. */
export class JobStore {
  readonly #redis: Redis;
  readonly #pictures: Redis;
  readonly #options: StoreOptions;
  /** What every script is given. */
  readonly #bounds: object;
  /** The last picture that is being read. */
  #reading = Promise.resolve();

  /** `pictures`: the connection for pictures of requests. */
  constructor(redis: Redis, pictures: Redis, options: StoreOptions) {
    this.#redis = redis;
    this.#pictures = pictures;
    this.#options = options;
    const { limit, inputBytes, shared, history, ttlMs, resultBytes } = options;
    const bounds = { limit, inputBytes, shared, history, ttl: ttlMs, bound: resultBytes };
    this.#bounds = { ...bounds, kept: EVENTS_KEPT, maxTag: MAX_TAG };
  }

  /** The id of the job that an owner's key was sent with. Rejects with IdempotencyConflictError. */
  async find(key: IdempotencyKey, owner: string | undefined): Promise<string | undefined> {
    const entry = await this.#redis.hgetall(`${this.#options.prefix}key:${ownedKey(key, owner)}`);
    if (!entry.id || !(await this.#redis.exists(this.#key(entry.id)))) return undefined;
    if (entry.fingerprint !== key.fingerprint) throw new IdempotencyConflictError(key);
    return entry.id;
  }

  /** Rejects with JobLimitError when there is no room for a job besides those that are being checked. */
  async assertRoom({ owner = '', bytes }: JobClaim, held: Held): Promise<void> {
    this.#assertNotFull(await this.#run(CHECK_ROOM, { owner, bytes, ...held }));
  }

  /** The job, new or known. Rejects with JobLimitError and IdempotencyConflictError. */
  async submit(
    request: JobRequest,
    key: IdempotencyKey | undefined,
    held: Held,
  ): Promise<Ticket & { known: boolean }> {
    const { id, task, fields, work, image, mask, webhook, owner } = request;
    const record = {
      task,
      fields: JSON.stringify(fields),
      work: work && JSON.stringify(work),
      model: String(fields.model ?? ''),
      key: key && ownedKey(key, owner),
      webhook,
      owner,
    };
    const claim = { owner: owner ?? '', bytes: inputBytesOf(request) };
    const job = { id, record, fingerprint: key?.fingerprint, ...claim, ...held };
    const connection = claim.bytes > 0 ? this.#pictures : this.#redis;
    const answer = await this.#runOn(connection, SUBMIT, job, image ?? '', mask ?? '');
    this.#assertNotFull(answer);
    const [what, value] = answer as [string, string | number];
    if (what === 'conflict' && key) throw new IdempotencyConflictError(key);
    if (what === 'known') return { id: String(value), priority: 0, known: true };
    return { id, priority: Number(value), known: false };
  }

  /** Throws JobLimitError when a script has answered that there is no room. */
  #assertNotFull(answer: unknown): void {
    if (!Array.isArray(answer) || answer[0] !== 'full') return; // null: there is room
    const [, what, ends, own, ...numbers] = answer as [string, 'jobs' | 'bytes', ...number[]];
    const running: Running[] = [];
    for (let i = 0; i < numbers.length; i += 3)
      running.push({ elapsedMs: numbers[i], step: numbers[i + 1], of: numbers[i + 2] });
    throw limitError(this.#options, { what, ends, own }, running);
  }

  async get(id: string): Promise<Job | undefined> {
    return read(id, await this.#redis.hgetall(this.#key(id)));
  }

  /** Newest first. Expired jobs are removed from the lists as they are read. */
  async list({ owner = '', status, limit }: JobFilter): Promise<Job[]> {
    const statuses = status ? [status] : JOB_STATUSES;
    for (;;) {
      const lists = await Promise.all(statuses.map((each) => this.#newest(owner, each, limit)));
      const newest = lists.flat().sort((a, b) => b.createdMs - a.createdMs);
      const entries = newest.slice(0, limit);
      const jobs = await Promise.all(entries.map(({ id }) => this.get(id)));
      const gone = entries.filter((_, i) => !jobs[i]);
      if (gone.length === 0) return jobs.filter((job) => job !== undefined);
      await Promise.all(gone.map(({ list, id }) => this.#redis.zrem(list, id)));
    }
  }

  /** The newest `limit` jobs of an owner that have a status. */
  async #newest(owner: string, status: JobStatus, limit: number) {
    const list = `${this.#options.prefix}list:${owner}:${status}`;
    const members = await this.#redis.zrevrange(list, 0, limit - 1, 'WITHSCORES');
    const entries: { list: string; id: string; createdMs: number }[] = [];
    for (let i = 0; i < members.length; i += 2)
      entries.push({ list, id: members[i], createdMs: Number(members[i + 1]) });
    return entries;
  }

  /** Its length, 0 when there is none. */
  async imageBytes(id: string, n: number): Promise<number> {
    return this.#redis.hstrlen(`${this.#key(id)}:files`, String(n));
  }

  /**
   * Pictures are read one after the other, because Redis would keep in its memory what waits to be sent. When Redis does
   * not answer, those that wait fail together with the one that is read.
   */
  async image(id: string, n: number): Promise<Buffer | null> {
    const reading = this.#reading.then(() => this.#pictures.hgetBuffer(`${this.#key(id)}:files`, String(n)));
    this.#reading = reading.then(() => {});
    this.#reading.catch(() => {
      this.#reading = Promise.resolve();
    });
    return reading;
  }

  async mediaType(id: string): Promise<string> {
    return (await this.#redis.hget(this.#key(id), 'mediaType')) ?? '';
  }

  /** Tells all replicas, for `ms` milliseconds, that this one serves these models. */
  async announce(models: string[], ms: number): Promise<void> {
    const announcing = this.#redis.pipeline();
    for (const model of models) announcing.set(`${this.#options.prefix}serves:${model}`, 1, 'PX', ms);
    await announcing.exec();
  }

  /** The reference of the model that a job is for; undefined when the job does not exist. */
  async model(id: string): Promise<string | undefined> {
    return (await this.#redis.hget(this.#key(id), 'model')) ?? undefined;
  }

  /**
   * Makes a job wait again, because this replica does not serve its model. Returns how often that has happened to the
   * job, and for how long no replica has announced the model (-1 if one has); undefined when the job has ended.
   */
  async giveBack(id: string): Promise<{ times: number; unservedMs: number } | undefined> {
    const answer = (await this.#run(GIVE_BACK, { id })) as [number, number] | null;
    return answer ? { times: answer[0], unservedMs: answer[1] } : undefined;
  }

  /** Marks a job as running and returns its request; undefined when it has ended. */
  async start(id: string): Promise<JobRequest | undefined> {
    if (!(await this.#run(START, { id }))) return undefined;
    const [job, input] = await Promise.all([
      this.get(id),
      this.#redis.hgetallBuffer(`${this.#key(id)}:input`),
    ]);
    return job && { id, task: job.task, fields: job.parameters, image: input.image, mask: input.mask };
  }

  /** Records progress; false if the job should stop, because it was cancelled or another replica finished it. */
  async progress(id: string, data: ProgressEvent): Promise<boolean> {
    const { step, of } = data;
    return Boolean(await this.#run(PROGRESS, { id, step, of, data: JSON.stringify(data) }));
  }

  /** Records the outcome; false if the job had ended before. */
  async finish(id: string, outcome: JobOutcome): Promise<boolean> {
    const { event, data } = lastEvent(outcome);
    const { mediaType, files } =
      outcome.status === 'succeeded' ? outcome.result : { mediaType: '', files: [] };
    const end = { id, status: outcome.status, event, data: JSON.stringify(data), mediaType };
    const buffers = files.map(asBuffer);
    return Boolean(await this.#run(FINISH, end, ...buffers));
  }

  async forget(id: string): Promise<void> {
    await this.#run(FORGET, { id });
  }

  /** Drops jobs that have expired. */
  async trim(): Promise<void> {
    await this.#run(TRIM, {});
  }

  /** Jobs that wait, on all replicas. */
  async waiting(): Promise<number> {
    const { prefix } = this.#options;
    const [unfinished, running] = await Promise.all([
      this.#redis.scard(`${prefix}unfinished`),
      this.#redis.zcard(`${prefix}running`),
    ]);
    return unfinished - running;
  }

  /** A page of the jobs that wait or run, and the cursor of the next one; '0' is the first. */
  async unfinished(cursor: string): Promise<{ tickets: Ticket[]; next: string }> {
    const [next, ids] = await this.#redis.sscan(`${this.#options.prefix}unfinished`, cursor, 'COUNT', PAGE);
    const tags = await Promise.all(ids.map((id) => this.#redis.hget(this.#key(id), 'tag')));
    return { tickets: ids.map((id, i) => ({ id, priority: Number(tags[i] ?? 0) })), next };
  }

  /** The next EVENTS_AT_ONCE: with previews, all of them can be large, and each client has a copy of its own. */
  async events(id: string, after: number): Promise<JobEvent[]> {
    const key = `${this.#key(id)}:events`;
    const entries = await this.#redis.xrange(key, `0-${after + 1}`, '+', 'COUNT', EVENTS_AT_ONCE);
    return entries.map(([entry, [, event, , data]]) => ({
      id: Number(entry.slice(2)),
      event: event as JobEvent['event'],
      data: JSON.parse(data),
    }));
  }

  /** The event after which a client continues that names `after`. */
  async resumedAfter(id: string, after: number): Promise<number> {
    // The job is read last: if it ends in between, its end comes after this newest event.
    const [[newest], job] = await Promise.all([
      this.#redis.xrevrange(`${this.#key(id)}:events`, '+', '-', 'COUNT', 1),
      this.get(id),
    ]);
    return resumedAfter(after, newest ? Number(newest[0].slice(2)) : 0, job ?? {});
  }

  #key(id: string): string {
    return `${this.#options.prefix}job:${id}`;
  }

  #run(script: string, values: object, ...bytes: Buffer[]) {
    return this.#runOn(this.#redis, script, values, ...bytes);
  }

  #runOn(connection: Redis, script: string, values: object, ...bytes: (string | Buffer)[]) {
    const json = JSON.stringify({ ...this.#bounds, ...values });
    return connection.eval(script, 1, this.#options.prefix, json, ...bytes);
  }
}

function read(id: string, record: Record<string, string>): Job | undefined {
  if (!record.task) return undefined;
  const date = (ms: string | undefined) => (ms ? new Date(Number(ms)) : undefined);
  return {
    id,
    task: record.task as Job['task'],
    status: record.status as JobStatus,
    progress: { step: Number(record.step ?? 0), of: Number(record.of ?? 0) },
    createdAt: new Date(Number(record.createdAt)),
    startedAt: date(record.startedAt),
    finishedAt: date(record.finishedAt),
    parameters: JSON.parse(record.fields),
    work: workOf(record),
    error: record.error ? JSON.parse(record.error) : undefined,
    images: Number(record.images ?? 0),
    webhook: record.webhook,
    owner: record.owner,
  };
}

/** The work of a job; undefined if another version of the service has stored it in another form. */
function workOf({ work }: Record<string, string>): Job['work'] {
  const parsed: unknown = work ? JSON.parse(work) : undefined;
  return Array.isArray(parsed) ? parsed : undefined;
}

import type { Redis } from 'ioredis';
import type { ProgressEvent } from '../../generation/progress.ts';
import {
  EVENTS_KEPT,
  IdempotencyConflictError,
  type IdempotencyKey,
  isListed,
  type Job,
  type JobEvent,
  type JobFilter,
  JobLimitError,
  type JobOutcome,
  type JobRequest,
  type JobStatus,
  lastEvent,
} from '../job.ts';
import { FINISH, FORGET, GIVE_BACK, PROGRESS, START, SUBMIT } from './scripts.ts';

export interface StoreOptions {
  /** Prefix of every key; with a hash tag, for Redis Cluster. */
  prefix: string;
  limit: number;
  retryAfterS: () => number;
  ttlMs: number;
  resultBytes: number;
}

const PAGE = 200;

/** The records, pictures and events of jobs in Redis, shared by all replicas. Times are from this process's clock. */
export class JobStore {
  readonly #redis: Redis;
  readonly #options: StoreOptions;

  constructor(redis: Redis, options: StoreOptions) {
    this.#redis = redis;
    this.#options = options;
  }

  /** The id of the job that an owner's key was sent with. Rejects with IdempotencyConflictError. */
  async find(key: IdempotencyKey, owner: string | undefined): Promise<string | undefined> {
    const entry = await this.#redis.hgetall(`${this.#options.prefix}key:${ownedKey(key, owner)}`);
    if (!entry.id || !(await this.#redis.exists(this.#key(entry.id)))) return undefined;
    if (entry.fingerprint !== key.fingerprint) throw new IdempotencyConflictError(key);
    return entry.id;
  }

  /** Jobs that wait or run, on any replica. */
  unfinishedCount(): Promise<number> {
    return this.#redis.scard(`${this.#options.prefix}unfinished`);
  }

  limitError(): JobLimitError {
    return new JobLimitError(this.#options.limit, this.#options.retryAfterS());
  }

  /** The id of the job, new or known. Rejects with JobLimitError and IdempotencyConflictError. */
  async submit(request: JobRequest, key?: IdempotencyKey): Promise<{ id: string; known: boolean }> {
    const now = Date.now();
    const { id, task, fields, image = '', mask = '', webhook, owner } = request;
    const record: Record<string, string | number> = { task, status: 'queued', createdAt: now };
    record.fields = JSON.stringify(fields);
    record.model = String(fields.model ?? '');
    if (key) record.key = ownedKey(key, owner);
    if (webhook) record.webhook = webhook;
    if (owner) record.owner = owner;
    const known = key ? [record.key, key.fingerprint] : ['', ''];
    const values = Object.entries(record).flat();
    const { limit } = this.#options;
    const answer = await this.#run(SUBMIT, id, now, limit, EVENTS_KEPT, ...known, image, mask, ...values);
    if (answer === 'full') throw this.limitError();
    if (answer === 'conflict' && key) throw new IdempotencyConflictError(key);
    return answer === 'new' ? { id, known: false } : { id: String(answer), known: true };
  }

  async get(id: string): Promise<Job | undefined> {
    return read(id, await this.#redis.hgetall(this.#key(id)));
  }

  /** Newest first. Expired jobs are removed from the list as it is read. */
  async list(filter: JobFilter): Promise<Job[]> {
    const index = `${this.#options.prefix}jobs`;
    const found: Job[] = [];
    for (let from = 0; found.length < filter.limit; from += PAGE) {
      const ids = await this.#redis.zrevrange(index, from, from + PAGE - 1);
      if (ids.length === 0) break;
      const jobs = await Promise.all(ids.map((id) => this.get(id)));
      const gone = ids.filter((_, i) => !jobs[i]);
      if (gone.length > 0) await this.#redis.zrem(index, ...gone);
      from -= gone.length;
      found.push(...jobs.filter((job) => job !== undefined).filter((job) => isListed(job, filter)));
    }
    return found.slice(0, filter.limit);
  }

  async image(id: string, n: number): Promise<Buffer | null> {
    return this.#redis.hgetBuffer(`${this.#key(id)}:files`, String(n));
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
    const answer = (await this.#run(GIVE_BACK, id)) as [number, number] | null;
    return answer ? { times: answer[0], unservedMs: answer[1] } : undefined;
  }

  /** Marks a job as running and returns its request; undefined when it has ended. */
  async start(id: string): Promise<JobRequest | undefined> {
    if (!(await this.#run(START, id, Date.now()))) return undefined;
    const [job, input] = await Promise.all([
      this.get(id),
      this.#redis.hgetallBuffer(`${this.#key(id)}:input`),
    ]);
    return job && { id, task: job.task, fields: job.parameters, image: input.image, mask: input.mask };
  }

  /** Records progress; false if the job should stop, because it was cancelled or another replica finished it. */
  async progress(id: string, data: ProgressEvent): Promise<boolean> {
    const { step, of } = data;
    return Boolean(await this.#run(PROGRESS, id, step, of, EVENTS_KEPT, JSON.stringify(data)));
  }

  /** Records the outcome; false if the job had ended before. */
  async finish(id: string, outcome: JobOutcome): Promise<boolean> {
    const { ttlMs, resultBytes } = this.#options;
    const { event, data } = lastEvent(outcome);
    const { mediaType, files } =
      outcome.status === 'succeeded' ? outcome.result : { mediaType: '', files: [] };
    const fields = [outcome.status, event, JSON.stringify(data), mediaType];
    const buffers = files.map((file) => Buffer.from(file.buffer, file.byteOffset, file.byteLength));
    const limits = [Date.now(), ttlMs, resultBytes, EVENTS_KEPT];
    return Boolean(await this.#run(FINISH, id, ...limits, ...fields, ...buffers));
  }

  async forget(id: string): Promise<void> {
    await this.#run(FORGET, id);
  }

  unfinished(): Promise<string[]> {
    return this.#redis.smembers(`${this.#options.prefix}unfinished`);
  }

  async events(id: string, after: number): Promise<JobEvent[]> {
    const entries = await this.#redis.xrange(`${this.#key(id)}:events`, `0-${after + 1}`, '+');
    return entries.map(([entry, [, event, , data]]) => ({
      id: Number(entry.slice(2)),
      event: event as JobEvent['event'],
      data: JSON.parse(data),
    }));
  }

  #key(id: string): string {
    return `${this.#options.prefix}job:${id}`;
  }

  #run(script: string, ...values: (string | number | Buffer)[]) {
    return this.#redis.eval(script, 1, this.#options.prefix, ...values);
  }
}

/** A key's value may be anything, but an owner's name has no colon: no owner can name another's key. */
const ownedKey = ({ value }: IdempotencyKey, owner: string | undefined) => `${owner ?? ''}:${value}`;

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
    error: record.error ? JSON.parse(record.error) : undefined,
    images: Number(record.images ?? 0),
    webhook: record.webhook,
    owner: record.owner,
  };
}

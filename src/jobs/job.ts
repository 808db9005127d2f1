import type { Work } from '../generation/estimate.ts';
import type { ProgressEvent } from '../generation/progress.ts';
import type { GenerationRequest } from '../generation/request.ts';
import { TryLaterError } from '../retry-after.ts';

/** A job's request: plain data, so that any store can keep it and any process can carry it out. */
export interface JobRequest {
  /** A UUID, drawn by whoever accepts the job. */
  id: string;
  task: GenerationRequest['task'];
  /** The request without its pictures; seed drawn, model with its version. */
  fields: Record<string, unknown>;
  image?: Buffer;
  mask?: Buffer;
  /** The evaluations that it takes. */
  work?: Work;
  /** URL that is told when the job has ended. */
  webhook?: string;
  /** Name of the API key that it was made with. */
  owner?: string;
}

/** The request that a job carries out. It was validated when the job was accepted. */
export function generationRequest({
  task,
  fields,
  image,
  mask,
}: Pick<JobRequest, 'task' | 'fields' | 'image' | 'mask'>): GenerationRequest {
  return { ...fields, task, image, mask } as GenerationRequest;
}

export const JOB_STATUSES = ['queued', 'running', 'succeeded', 'failed', 'cancelled'] as const;
export type JobStatus = (typeof JOB_STATUSES)[number];

export interface Job {
  id: string;
  task: JobRequest['task'];
  status: JobStatus;
  /** Evaluations done and to do; 0 of 0 before it runs. */
  progress: { step: number; of: number };
  createdAt: Date;
  startedAt?: Date;
  finishedAt?: Date;
  parameters: Record<string, unknown>;
  /** The evaluations that it takes. */
  work?: Work;
  /** A problem document, when it failed. */
  error?: object;
  /** Number of encoded pictures, when it succeeded. */
  images: number;
  webhook?: string;
  /** Name of the API key that it was made with; nobody else may learn of the job. */
  owner?: string;
}

/** The encoded pictures of a job, and what a JSON answer says about them. */
export interface JobResult {
  files: Uint8Array[];
  mediaType: string;
  answer: object;
}

/** A picture on its way to a client. */
export interface JobPicture {
  file: Uint8Array;
  mediaType: string;
  /** To be called when it has been sent: until then it takes memory. */
  release: () => void;
}

/** How a job ended: its status, what its last event says, and its pictures. */
export type JobOutcome =
  | { status: 'succeeded'; result: JobResult }
  | { status: 'failed'; error: object }
  | { status: 'cancelled' };

export interface JobEvent {
  /** 1, 2, 3 ... within its job; a client continues after its Last-Event-ID. */
  id: number;
  event: 'queued' | 'progress' | 'result' | 'error' | 'cancelled';
  data: object;
}

/** Newest events kept for each job; older ones are dropped. */
export const EVENTS_KEPT = 100;

/** The event that a job ends with. */
export function lastEvent(outcome: JobOutcome): Omit<JobEvent, 'id'> {
  if (outcome.status === 'succeeded') return { event: 'result', data: outcome.result.answer };
  if (outcome.status === 'failed') return { event: 'error', data: outcome.error };
  return { event: 'cancelled', data: {} };
}

export interface JobRunOptions {
  signal: AbortSignal;
  onProgress: (event: ProgressEvent) => void;
}

/** Carries a job out. Rejects with a domain error, or with the signal's reason when it is aborted. */
export type Perform = (request: JobRequest, options: JobRunOptions) => Promise<JobResult>;

/** Two requests of an owner with the same Idempotency-Key are the same request when their fingerprints are equal. */
export interface IdempotencyKey {
  value: string;
  fingerprint: string;
}

/** Names a key of an owner. A key's value may be anything, but an owner's name has no colon: no owner can name another's key. */
export const ownedKey = ({ value }: IdempotencyKey, owner: string | undefined) => `${owner ?? ''}:${value}`;

/** The event after which a client continues: `after`, unless it is past the newest event. See JobQueue.events. */
export function resumedAfter(after: number, newest: number, { finishedAt }: Partial<Job>): number {
  if (after <= newest) return after;
  return finishedAt ? newest - 1 : newest;
}

export interface JobFilter {
  /** undefined: jobs that were made without an API key. */
  owner?: string;
  status?: JobStatus;
  limit: number;
}

/** What a job takes of the room for unfinished jobs. */
export interface JobClaim {
  owner: string | undefined;
  /** Bytes of its input pictures. */
  bytes: number;
}

/** Bytes of a job's input pictures. */
export const inputBytesOf = ({ image, mask }: Pick<JobRequest, 'image' | 'mask'>): number =>
  (image?.length ?? 0) + (mask?.length ?? 0);

/** Room for one job while its request is being checked. */
export interface JobReservation {
  release(): void;
}

/** Accepts, runs, reports and keeps jobs. Every method that takes an id rejects with UnknownJobError. */
export interface JobQueue {
  /** The job that an owner has made with this key. Rejects with IdempotencyConflictError for another fingerprint. */
  find(key: IdempotencyKey, owner: string | undefined): Promise<Job | undefined>;
  /** Room for a job that is about to be submitted. Rejects with JobLimitError, so that the pictures of a refused job are never decoded. */
  reserve(wanted: JobClaim): Promise<JobReservation>;
  /**
   * Accepts a job, or returns the one that find() would have returned: `known` is true then.
   * Rejects with JobLimitError and IdempotencyConflictError.
   */
  submit(request: JobRequest, key?: IdempotencyKey): Promise<{ job: Job; known: boolean }>;
  get(id: string): Promise<Job>;
  /** An owner's jobs, newest first. */
  list(filter: JobFilter): Promise<Job[]>;
  /** Its nth picture. Rejects with NoPictureError when there is none (yet), and with MemoryFullError. */
  image(id: string, n: number): Promise<JobPicture>;
  /** Cancels a job that waits or runs, at its next step; deletes one that has ended. */
  cancel(id: string): Promise<Job>;
  /** Jobs that wait to run, on any replica. */
  waiting(): Promise<number>;
  /**
   * The job's events after the given id, those to come included; ends with the job or when the signal aborts. An id that
   * has not been issued counts as the newest, but the last event of a job that has ended is sent again.
   */
  events(id: string, after: number, signal: AbortSignal): AsyncGenerator<JobEvent>;
  /** Waits for the jobs that run here. */
  close(): Promise<void>;
}

export interface JobQueueOptions {
  perform: Perform;
  /** Turns what a job threw into the problem document it ends with. Called once for each job that fails. */
  describeError: (error: unknown, id: string) => object;
  /** Jobs waiting or running; more are refused with JobLimitError. */
  limit: number;
  /** Bytes of the input pictures of jobs waiting or running; more are refused with JobLimitError. */
  inputBytes?: number;
  /** Whether several API keys share the limits: then none may use more than is still free. */
  shared?: boolean;
  /** Milliseconds that a finished job and its pictures are kept. */
  ttlMs: number;
  /** Finished jobs, and bytes of encoded pictures, kept in all; past it the oldest finished jobs are dropped early. */
  history?: number;
  resultBytes?: number;
  /** Jobs that run side by side in this process: the scheduler shares the network among them. */
  concurrency?: number;
  /** The models (id@version) of this process. A job for one that has failed to load tries to load it again. */
  models?: () => { ref: string; failed: boolean }[];
  /** Called with a model that a job is for and this process does not have. */
  onUnknownModel?: (model: string) => void;
  /** Milliseconds that a job waits while no process can serve its model; then it fails. Only where there are several. */
  modelWaitMs?: number;
  /** Posts a job's outcome to its webhook; rejects when it should be tried again, unless it was the last try. */
  notify?: (job: Job & { webhook: string }, isLastTry: boolean) => Promise<void>;
}

export const MODEL_WAIT_MS = 300_000;
export const INPUT_BYTES = 256_000_000;
export const HISTORY = 10_000;
/** Of the pictures and events of finished jobs. */
export const RESULT_BYTES = 256 * 1024 * 1024;
export const CONCURRENCY = 8;

/** Unfinished jobs, or their input pictures, take as much room as they may. */
export class JobLimitError extends TryLaterError {
  override name = 'JobLimitError';
}

/** The job does not exist, has been deleted, or belongs to another API key. */
export class UnknownJobError extends Error {
  override name = 'UnknownJobError';
}

/** The same message in each of those cases: a client cannot find out which ids others have. */
export const noSuchJob = (id: string) =>
  new UnknownJobError(`there is no job ${id || 'without an id'}; finished jobs are deleted after a while`);

/** The job has no picture with this index, or not yet. */
export class NoPictureError extends Error {
  override name = 'NoPictureError';
  constructor({ id, status, images }: Pick<Job, 'id' | 'status' | 'images'>) {
    super(`job ${id} is ${status} and has ${images} pictures`);
  }
}

/** The same Idempotency-Key came with another request. */
export class IdempotencyConflictError extends Error {
  override name = 'IdempotencyConflictError';
  constructor({ value }: IdempotencyKey) {
    super(`Idempotency-Key ${value} was sent before with another request`);
  }
}

/** The store that keeps jobs cannot be reached, or refuses to do its work. */
export class JobStoreError extends Error {
  override name = 'JobStoreError';
}

import type { Box } from '../image/picture.ts';

/** What a job is asked to do; plain data, so that a queue may keep it anywhere and any process may do it. */
export interface JobRequest {
  task: 'inpaint' | 'sample';
  /** The request's fields under their names in HTTP, seed drawn, model with its version. */
  fields: Record<string, unknown>;
  image?: Buffer;
  mask?: Buffer;
  /** Where to say that it has ended. */
  webhook?: string;
  /** Whose API key made it. */
  owner?: string;
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
  /** A problem document, when it failed. */
  error?: object;
  /** Encoded pictures there are, when it succeeded. */
  images: number;
  webhook?: string;
  /** Whose API key made it: nobody else is to learn of it. */
  owner?: string;
}

/** What came of a job: the encoded pictures, and what a JSON answer says about them. */
export interface Outcome {
  files: Uint8Array[];
  mediaType: string;
  answer: object;
}

/** How a job ended: its status, what its last event says, and its pictures. */
export type Ending =
  | { status: 'succeeded'; outcome: Outcome }
  | { status: 'failed'; error: object }
  | { status: 'cancelled' };

export interface JobEvent {
  /** 1, 2, 3 ... within its job: what Last-Event-ID goes on from. */
  id: number;
  event: 'queued' | 'progress' | 'result' | 'error' | 'cancelled';
  data: object;
}

/** Events kept of a job, the newest: who comes later than that learns nothing more from older ones. */
export const EVENTS_KEPT = 100;

/** The event that a job ends with. */
export function lastEvent(ending: Ending): Omit<JobEvent, 'id'> {
  if (ending.status === 'succeeded') return { event: 'result', data: ending.outcome.answer };
  if (ending.status === 'failed') return { event: 'error', data: ending.error };
  return { event: 'cancelled', data: {} };
}

/** What a progress event says. */
export interface JobProgress {
  step: number;
  of: number;
  eta_ms: number;
  /** A data: URL of the picture as it is believed to be now. */
  preview?: string;
  /** Where in the picture that lies. */
  box?: Box;
}

/** How a job is done. Rejects with what HTTP turns into a problem; stops when the signal aborts. */
export type Perform = (
  request: JobRequest,
  options: { signal: AbortSignal; onProgress: (data: JobProgress) => void },
) => Promise<Outcome>;

/** A second request of an owner with an Idempotency-Key is the same when its fingerprint is. */
export interface IdempotencyKey {
  value: string;
  fingerprint: string;
}

export interface JobFilter {
  /** None: the jobs that nobody owns. */
  owner?: string;
  status?: JobStatus;
  limit: number;
}

export const isListed = (job: Job, { owner, status }: JobFilter): boolean =>
  job.owner === owner && (!status || job.status === status);

/** Jobs: taken, done, watched, fetched. Every method that takes an id rejects with UnknownJobError. */
export interface JobQueue {
  /**
   * Takes a job. With a key that was seen before, the job it was seen with.
   * Rejects with QueueFullError, and IdempotencyConflictError when the key came with another fingerprint.
   */
  submit(request: JobRequest, key?: IdempotencyKey): Promise<{ job: Job; known: boolean }>;
  get(id: string): Promise<Job>;
  /** An owner's, newest first. */
  list(filter: JobFilter): Promise<Job[]>;
  /** Its nth picture; UnknownJobError as well when there is none (yet). */
  image(id: string, n: number): Promise<{ file: Uint8Array; mediaType: string }>;
  /** Ends a job that waits or runs, at its next step; forgets one that has ended. */
  cancel(id: string): Promise<Job>;
  /** The job's events after the given id, those to come included; ends with the job or when the signal aborts. */
  events(id: string, after: number, signal: AbortSignal): AsyncGenerator<JobEvent>;
  /** Waits for the jobs that run here. */
  close(): Promise<void>;
}

export interface JobQueueOptions {
  perform: Perform;
  /** Turns what a job threw into the problem document it ends with. */
  describeError: (error: unknown) => object;
  /** Jobs waiting or running; more are refused with QueueFullError. */
  limit: number;
  /** How long a finished job and its pictures are kept. */
  ttlMs: number;
  /** Encoded pictures kept in all; past it the oldest finished jobs go before their time. */
  resultBytes?: number;
  /** Jobs that run side by side in this process: the scheduler shares the network among them. */
  concurrency?: number;
  /** Tells a job's webhook how it ended; rejects when it is to be tried again. */
  notify?: (job: Job & { webhook: string }) => Promise<void>;
}

export const RESULT_BYTES = 256 * 1024 * 1024;
export const CONCURRENCY = 8;

export class UnknownJobError extends Error {
  override name = 'UnknownJobError';
}

/** Of a job that is not there, has been forgotten, or is somebody else's: all are told alike. */
export const noSuchJob = (id: string) =>
  new UnknownJobError(`there is no job ${id}; finished jobs are kept for a while only`);

/** The same Idempotency-Key came with another request. */
export class IdempotencyConflictError extends Error {
  override name = 'IdempotencyConflictError';
}

/** Where jobs are kept cannot be reached. */
export class JobStoreError extends Error {
  override name = 'JobStoreError';
}

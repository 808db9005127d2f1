/** What a job is asked to do; plain data, so that a queue may keep it anywhere and any process may do it. */
export interface JobRequest {
  task: 'inpaint' | 'sample';
  /** The request's fields under their names in HTTP, seed drawn, defaults filled in. */
  fields: Record<string, unknown>;
  image?: Buffer;
  mask?: Buffer;
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
}

/** What came of a job: the encoded pictures, and what a JSON answer says about them. */
export interface Outcome {
  files: Uint8Array[];
  mediaType: string;
  answer: object;
}

export interface JobEvent {
  /** 1, 2, 3 ... within its job: what Last-Event-ID goes on from. */
  id: number;
  event: 'queued' | 'progress' | 'result' | 'error' | 'cancelled';
  data: object;
}

/** How a job is done. Rejects with what HTTP turns into a problem; stops when the signal aborts. */
export type Perform = (
  request: JobRequest,
  options: { signal: AbortSignal; onProgress: (data: { step: number; of: number }) => void },
) => Promise<Outcome>;

export class UnknownJobError extends Error {
  override name = 'UnknownJobError';
}

/** The same Idempotency-Key came with another request. */
export class IdempotencyConflictError extends Error {
  override name = 'IdempotencyConflictError';
}

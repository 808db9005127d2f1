import { retryAfter } from '../retry-after.ts';
import { deficit } from '../scheduler/fair-share.ts';
import { JobLimitError } from './job.ts';

/** What unfinished jobs occupy. */
export interface Load {
  jobs: number;
  /** Bytes of their input pictures. */
  bytes: number;
}

/** How far a job is that runs. */
export interface Running {
  elapsedMs: number;
  /** Evaluations done and to do; 0 of 0 before the first. */
  step: number;
  of: number;
}

export interface RoomOptions {
  /** JOB_LIMIT: unfinished jobs. */
  limit: number;
  /** JOB_INPUT_BYTES: bytes of their input pictures. */
  inputBytes: number;
  /** Whether several owners share the room. */
  shared: boolean;
}

/** Why a job has no room. */
export interface Refusal {
  /** What is exhausted. */
  what: 'jobs' | 'bytes';
  /** How many jobs must end before it fits. */
  ends: number;
  /** How much the owner has of it. */
  own: number;
}

/** Why a job of `bytes` bytes has no room; undefined if it fits now. */
export function refusal(
  { limit, inputBytes, shared }: RoomOptions,
  total: Load,
  own: Load,
  bytes: number,
): Refusal | undefined {
  const jobs = deficit({ total: total.jobs, own: own.jobs, wanted: 1 }, limit, shared);
  if (jobs > 0) return { what: 'jobs', ends: jobs, own: own.jobs };
  if (bytes === 0 || total.bytes === 0) return undefined; // one job always fits, however large it is
  const missing = deficit({ total: total.bytes, own: own.bytes, wanted: bytes }, inputBytes, shared);
  if (missing <= 0) return undefined;
  return { what: 'bytes', ends: Math.ceil((missing * total.jobs) / total.bytes), own: own.bytes };
}

/** The error for a job that has no room. `running`: the jobs that run, or a sample of them. */
export function limitError(
  { limit, inputBytes, shared }: RoomOptions,
  { what, ends, own }: Refusal,
  running: Running[],
): JobLimitError {
  const [setting, most, unit] =
    what === 'jobs'
      ? ['JOB_LIMIT', limit, 'unfinished']
      : ['JOB_INPUT_BYTES', inputBytes, 'bytes of pictures of unfinished jobs'];
  const detail = shared
    ? `no room for this job: your API key has ${own} of ${most} ${unit} (${setting}), and one key may have at most as many ` +
      'as are free'
    : `${setting} is reached: ${most} ${unit}`;
  return new JobLimitError(detail, retryAfterS(ends, running));
}

/**
 * Whole seconds, 1 to 600, until `ends` jobs have ended. Each that runs is expected to go on at its own pace; one that
 * has not begun, to take as long as it has taken so far. Those that follow take as long as those that run now.
 */
export function retryAfterS(ends: number, running: Running[]): number {
  const left = running
    .map(({ elapsedMs, step, of }) => (step > 0 ? (elapsedMs * (of - step)) / step : elapsedMs))
    .sort((a, b) => a - b);
  if (left.length === 0) return 1;
  const ms = ends <= left.length ? left[Math.max(0, ends - 1)] : (left[left.length - 1] * ends) / left.length;
  return retryAfter(ms / 1000);
}

/** The load of jobs, in all and by owner. */
export class Loads {
  readonly total: Load = { jobs: 0, bytes: 0 };
  readonly #owners = new Map<string | undefined, Load>();

  of(owner: string | undefined): Load {
    return this.#owners.get(owner) ?? { jobs: 0, bytes: 0 };
  }

  /** Counts a job until the returned function is called; calling it again has no effect. */
  add(owner: string | undefined, bytes: number): () => void {
    const own = this.of(owner);
    this.#owners.set(owner, own);
    let held = true;
    const change = (sign: 1 | -1) => {
      for (const load of [this.total, own]) {
        load.jobs += sign;
        load.bytes += sign * bytes;
      }
    };
    change(1);
    return () => {
      if (!held) return;
      held = false;
      change(-1);
      if (own.jobs === 0) this.#owners.delete(owner);
    };
  }
}

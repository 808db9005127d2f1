import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { DeviceName } from './engine.ts';

/** After how long a worker that does not answer counts as hung. All times are in milliseconds. */
export interface Deadlines {
  /** Loading and warming up a version's networks, without the share for their size. */
  loadMs: number;
  /** Added to loadMs for each megabyte of the model's folder. */
  loadMsPerMegabyte: number;
  /** The shortest deadline of an evaluation. */
  evaluationMs: number;
  /** An evaluation may take this many times as long as the slowest recent one, per row. */
  evaluationFactor: number;
  /** A worker that has been idle for this long is asked whether it still answers. */
  idleMs: number;
  /** Interval between two looks at the deadlines. */
  checkIntervalMs: number;
  /** Time for a worker to exit by itself when it is closed; then it gets SIGKILL. It has nothing to save. */
  exitGraceMs: number;
  /** After SIGKILL, time for the process to disappear before its work is given to another worker anyway. */
  killGraceMs: number;
}

/** Generous: a healthy worker on a machine that is starved of CPU time must not be killed. */
export const DEADLINES: Deadlines = {
  loadMs: 120_000,
  loadMsPerMegabyte: 500,
  evaluationMs: 15_000,
  evaluationFactor: 30,
  idleMs: 10_000,
  checkIntervalMs: 1_000,
  exitGraceMs: 2_000,
  killGraceMs: 5_000,
};

/** No evaluation may take longer than this, however slow the recent ones were. */
const MAX_EVALUATION_MS = 600_000;
/** TensorRT compiles the network for each batch size while it loads, which takes minutes. */
const TENSORRT_LOAD_FACTOR = 10;
/** How much of the slowest recent evaluation still counts after each further one. */
const DECAY = 0.9;

/** The deadline for loading a model of `megabytes` on `device`, in milliseconds. */
export function loadDeadlineMs(
  device: DeviceName,
  megabytes: number,
  { loadMs, loadMsPerMegabyte }: Deadlines,
): number {
  const factor = device === 'tensorrt' ? TENSORRT_LOAD_FACTOR : 1;
  return factor * (loadMs + loadMsPerMegabyte * megabytes);
}

/** The deadline in milliseconds of evaluations that would have taken `expectedSeconds` recently. */
export function evaluationDeadlineMs(
  expectedSeconds: number,
  { evaluationMs, evaluationFactor }: Deadlines,
): number {
  return Math.max(evaluationMs, Math.min(evaluationFactor * 1000 * expectedSeconds, MAX_EVALUATION_MS));
}

/** The time of a row of one network after another evaluation of it: the slowest recent one decides, and is forgotten slowly. */
export function slowestRecently(rowSeconds: number, rows: number, seconds: number): number {
  return Math.max(seconds / rows, DECAY * rowSeconds);
}

/**
 * Adds up how long a worker has been silent, from regular checks. Only the time in which this process itself ran
 * normally counts: a check that comes more than one interval late adds nothing. This process was then stopped, blocked
 * or starved of CPU time, and an answer may have arrived that it has not read yet.
 */
export class Silence {
  readonly #intervalMs: number;
  #checkedMs: number;
  #ms = 0;

  constructor(intervalMs: number, nowMs: number) {
    this.#intervalMs = intervalMs;
    this.#checkedMs = nowMs;
  }

  /** Milliseconds of silence up to the last check. */
  get ms(): number {
    return this.#ms;
  }

  check(nowMs: number) {
    const elapsedMs = nowMs - this.#checkedMs;
    this.#checkedMs = nowMs;
    if (elapsedMs <= 2 * this.#intervalMs) this.#ms += elapsedMs;
  }

  /** The worker answered, or has just been asked. */
  restart() {
    this.#ms = 0;
  }
}

/** Total size of the files in `folder`; 0 when it cannot be read, which is for the worker to report. */
export function megabytesIn(folder: string): number {
  try {
    return readdirSync(folder).reduce((sum, name) => sum + statSync(path.join(folder, name)).size, 0) / 1e6;
  } catch {
    return 0;
  }
}

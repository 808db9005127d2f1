import os from 'node:os';
import { usableCores } from './cores.ts';
import type { NetworkSpec } from './network.ts';
import type { WorkerProcess } from './worker-process.ts';

/** Twice the workers must get this many times as much done to be kept. */
export const WORTHWHILE = 1.15;
const ROWS_PER_WORKER = 4;
const ROUNDS = 3;
/** Of the free memory, for workers: pictures and requests need some too. */
const SHARE_OF_MEMORY = 0.75;

/** How many workers there is room for, and what sets the limit, for people. */
export function mostWorkers(
  { device }: NetworkSpec,
  rssBytes: number,
  cores = usableCores(),
  freeBytes = freeMemory(),
): { most: number; reason: string } {
  if (device !== 'cpu') return { most: 1, reason: 'a GPU does more in large batches of one worker' };
  const fitting = 1 + Math.floor((SHARE_OF_MEMORY * freeBytes) / rssBytes); // one runs already
  if (cores <= fitting) return { most: cores, reason: 'one a core' };
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  const reason = `one takes ${megabytes(rssBytes)}, and ${megabytes(freeBytes)} are free`;
  return { most: fitting, reason };
}

/** Rows a second with all of `workers` busy: the best of some rounds, since what else runs only ever slows one. */
export async function throughput(workers: readonly WorkerProcess[], spec: NetworkSpec): Promise<number> {
  const x = new Float32Array(spec.inChannels * spec.resolution ** 2);
  const row = { rows: 1, x, t: new Float32Array(1) };
  const rows = Array.from({ length: ROWS_PER_WORKER }, () => workers).flat();
  let fastestMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    await Promise.all(rows.map((worker) => worker.evaluate(row, false)));
    fastestMs = Math.min(fastestMs, performance.now() - started);
  }
  return (1000 * rows.length) / fastestMs;
}

/** Bytes that are free: the machine's, or fewer where a container's limit says so. */
function freeMemory(): number {
  const limit = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  return Math.min(os.freemem(), limit - process.memoryUsage.rss());
}

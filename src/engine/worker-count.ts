import { usableCores, usableMemory } from '../machine.ts';
import type { DeviceName } from './engine.ts';

/**
 * Share of the memory limit for the workers of one model version. The other half is for the HTTP process, decoded
 * pictures, and the workers of a version that is being loaded to replace this one.
 */
const MEMORY_SHARE = 0.5;

export interface Machine {
  /** Whole cores that the service may use. */
  cores: number;
  /** Bytes of memory that the service may use. */
  memoryBytes: number;
}

/**
 * How many workers a model version has, at least 1, and why. A fixed rule without a measurement of speed: a measurement
 * at start would depend on what else the machine does at that moment. `workerBytes` is the memory of one worker.
 *
 * - CPU: a single-threaded worker per usable core, as long as MEMORY_SHARE of the memory holds them. One worker, which
 *   uses every core, for a large network.
 * - GPU: one worker. A GPU gains from larger batches, not from more processes.
 */
export function workerCount(
  device: DeviceName,
  workerBytes: number,
  large: boolean,
  { cores, memoryBytes }: Machine = thisMachine(),
): { workers: number; reason: string } {
  if (device !== 'cpu') return { workers: 1, reason: 'one per GPU' };
  if (large) return { workers: 1, reason: 'one for a large network, on every core' };
  const fitting = Math.max(1, Math.floor((MEMORY_SHARE * memoryBytes) / workerBytes));
  if (cores <= fitting) return { workers: cores, reason: 'one per usable core' };
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  const reason = `each takes ${megabytes(workerBytes)}, and half of ${megabytes(memoryBytes)} of memory is for workers`;
  return { workers: fitting, reason };
}

function thisMachine(): Machine {
  return { cores: usableCores(), memoryBytes: usableMemory() };
}

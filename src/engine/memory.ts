import os from 'node:os';

/** Bytes of memory that the service may use: the control group's limit, or all of the machine's if that is less. */
export function usableMemory(): number {
  const limit = process.constrainedMemory() || Number.POSITIVE_INFINITY; // 0: unknown
  return Math.min(os.totalmem(), limit);
}

import { readFileSync } from 'node:fs';
import os from 'node:os';

/** Cores this process may use: the CPU affinity's, or fewer where a container's quota (cgroup v2) says so; at least 1. */
export function usableCores(cpuMax = readCpuMax()): number {
  const [quota, period] = cpuMax.split(' ').map(Number);
  const limit = Number.isFinite(quota) && period > 0 ? Math.floor(quota / period) : Number.POSITIVE_INFINITY;
  return Math.max(1, Math.min(os.availableParallelism(), limit));
}

function readCpuMax(): string {
  try {
    return readFileSync('/sys/fs/cgroup/cpu.max', 'utf8');
  } catch {
    return 'max';
  }
}

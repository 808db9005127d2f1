import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** Bytes of memory that the service may use: the control group's limit, or all of the machine's if that is less. */
export function usableMemory(): number {
  const limit = process.constrainedMemory() || Number.POSITIVE_INFINITY; // 0: unknown
  return Math.min(os.totalmem(), limit);
}

/** What this machine calls its processor. */
export const cpuName = () => os.cpus()[0]?.model.trim() ?? 'unknown CPU';

/** Reads a text file; undefined when it cannot be read. */
type ReadText = (file: string) => string | undefined;

const CGROUPS = '/sys/fs/cgroup';

/**
 * Whole CPU cores that this process may use, at least 1: those of its CPU affinity, or fewer where a control group
 * (cgroup) has a quota. A quota of 1.5 cores counts as 1. Node 20's os.availableParallelism() knows the affinity alone.
 */
export function usableCores(affinity = os.availableParallelism(), read: ReadText = readText): number {
  const limits = [...quotasV2(read), quotaV1(read)].map(Math.floor);
  return Math.max(1, Math.min(affinity, ...limits));
}

/** cgroup v2: the quotas, in cores, of this process's group and of every group around it. All of them hold. */
function quotasV2(read: ReadText): number[] {
  // "0::/system.slice/x.service"; "0::/" in a container, which sees its own group as the root.
  let group = /^0::(\/.*)$/m.exec(read('/proc/self/cgroup') ?? '')?.[1] ?? '/';
  const quotas = [];
  for (; ; group = path.posix.dirname(group)) {
    const [quota, period] = read(path.posix.join(CGROUPS, group, 'cpu.max'))?.split(' ') ?? [];
    quotas.push(cores(quota, period));
    if (group === '/') return quotas;
  }
}

/** cgroup v1: the quota of the group that is mounted, which in a container is its own. */
function quotaV1(read: ReadText): number {
  const [quota, period] = ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map((name) =>
    read(`${CGROUPS}/cpu/${name}`),
  );
  return cores(quota, period);
}

/** Microseconds of CPU time in each period, as cores; Infinity where there is no quota ("max", -1, no file). */
function cores(quota = 'max', period = ''): number {
  const ratio = Number(quota) / Number(period);
  return ratio > 0 ? ratio : Number.POSITIVE_INFINITY;
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

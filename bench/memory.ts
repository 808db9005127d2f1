import { readFileSync } from 'node:fs';

/** Resident memory in MB: of a process, and of all its children. */
export interface Memory {
  http: number;
  workers: number;
}

/** Read from /proc, so Linux only. */
export function memoryOf(pid: number): Memory {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return { http: resident(pid), workers: sum(children.map(resident)) };
}

export function mean(samples: readonly Memory[]): Memory {
  const of = (what: keyof Memory) => sum(samples.map((sample) => sample[what])) / samples.length;
  return { http: of('http'), workers: of('workers') };
}

function resident(pid: number | string): number {
  return Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)?.[1]) / 1024;
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

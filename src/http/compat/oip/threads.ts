/**
 * The functions of tasks.ts, run in threads: to read a request of many megabytes takes tens of milliseconds, and must not
 * block health probes and other requests. Names, parameters and errors are the same.
 */
import { Piscina } from 'piscina';
import { Problem } from '../../problem.ts';
import type { Refusal, Tasks } from './tasks.ts';

const FROM_SOURCE = import.meta.url.endsWith('.ts');
/** More threads would only compete with the network for cores. */
const MAX_THREADS = 2;

const pool = new Piscina({
  filename: new URL(FROM_SOURCE ? './tasks.ts' : './tasks.js', import.meta.url).href,
  execArgv: FROM_SOURCE ? ['--import', 'tsx'] : [],
  minThreads: 0, // nothing for a service that nobody asks in this protocol
  maxThreads: MAX_THREADS,
  idleTimeout: 30_000,
});

function offload<Name extends keyof Tasks>(name: Name): Tasks[Name] {
  const call = async (...args: unknown[]) => {
    const answer: { value: unknown } | Refusal = await pool.run({ name, args });
    if ('value' in answer) return answer.value;
    const { slug, message, errors } = answer.refused;
    throw new Problem(slug, message, { errors });
  };
  return call as Tasks[Name];
}

export const readFill = offload('readFill');
export const readRows = offload('readRows');
export const writeFill = offload('writeFill');
export const writeRows = offload('writeRows');

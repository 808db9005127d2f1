/**
 * The functions of tasks.ts, run in threads: to read a request of many megabytes takes tens of milliseconds, and must not
 * block health probes and other requests. Names, parameters and errors are the same.
 */
import { Piscina } from 'piscina';
import { entryPoint } from '../../../entry-point.ts';
import { Problem } from '../../problem.ts';
import type { Refusal, Tasks } from './tasks.ts';

/** More threads would only compete with the network for cores. */
const MAX_THREADS = 2;

const { url, execArgv } = entryPoint(import.meta.url, 'tasks');
const pool = new Piscina({
  filename: url.href,
  execArgv,
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

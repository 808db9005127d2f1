import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { bare, CORES } from './peers.ts';

/** What the network alone takes, in as many processes of one thread as there are cores. */
export interface Limit {
  /** Evaluations a second of all processes. */
  rate: number;
  /** Processor time of an evaluation. Other work on the machine changes it far less than the rate. */
  cpuMs: number;
}

export async function measureBare(model: string, seconds: number): Promise<Limit> {
  const [program, ...args] = bare();
  const children: ChildProcess[] = [];
  const cpuMs = new Map<ChildProcess, number>();
  let done = 0;
  await new Promise<void>((resolve) => {
    for (let i = 0; i < CORES; i++) {
      const child = spawn(program, args, {
        env: { ...process.env, MODEL_FOLDER: model },
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      child.on('message', (ms: number) => {
        done++;
        cpuMs.set(child, ms);
        if (cpuMs.size === CORES) resolve();
      });
      children.push(child);
    }
  });
  const total = () => [...cpuMs.values()].reduce((a, b) => a + b);
  const before = { done, cpuMs: total(), at: performance.now() };
  await sleep(1000 * seconds);
  const evaluations = done - before.done;
  const limit = {
    rate: evaluations / ((performance.now() - before.at) / 1000),
    cpuMs: (total() - before.cpuMs) / evaluations,
  };
  for (const child of children) child.kill('SIGKILL');
  return limit;
}

import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { atExit } from '../tests/helpers/at-exit.ts';

/** The first of three ports. */
export const FIRST_PORT = Number(process.env.FIRST_PORT ?? 18_000 + Math.floor(Math.random() * 1000) * 3);

/** A busy machine takes long to load the model. */
const START_MS = 120_000;

const running = new Set<ChildProcess>();
atExit(() => {
  for (const child of running) child.kill('SIGKILL');
});

/**
 * Starts the built service on a port, with jobs on Redis. Resolves when it is ready; rejects when it ends before, or is not
 * ready after two minutes. `defaults`: settings that the environment does not have.
 */
export async function startReplica(
  port: number,
  redisUrl: string,
  defaults: Record<string, string> = {},
): Promise<ChildProcess> {
  const own = { PORT: String(port), HOST: '127.0.0.1', REDIS_URL: redisUrl, LOG_LEVEL: 'warn' };
  const child = spawn(process.execPath, ['dist/main.js'], {
    env: { ...defaults, ...process.env, ...own },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const end = performance.now() + START_MS;
  while (!(await isReady(port))) {
    if (!running.has(child)) throw new Error(`the service on port ${port} has ended`);
    if (performance.now() > end)
      throw new Error(`the service on port ${port} is not ready after two minutes`);
    await sleep(200);
  }
  return child;
}

async function isReady(port: number): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined);
  return answer?.ok ?? false;
}

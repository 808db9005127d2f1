import { type ChildProcess, spawn } from 'node:child_process';
import { on } from 'node:events';
import { atExit } from '../tests/helpers/at-exit.ts';

/** The allocator settings of the image, with which freed memory is returned to the system. */
export const IMAGE_MALLOC = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '131072' };

/** Starts the built service (run `npm run build` first) as a separate process on a free port. */
export async function startService(env: Record<string, string> = {}) {
  const child = spawn(process.execPath, ['dist/main.js'], {
    env: { ...process.env, PORT: '0', HOST: '127.0.0.1', LOG_LEVEL: 'info', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  atExit(() => child.kill('SIGKILL'));
  const url = await listening(child);
  return { child, url, pid: child.pid ?? 0 };
}

async function listening({ stdout }: ChildProcess): Promise<string> {
  if (!stdout) throw new Error('the service has no output to read');
  let log = '';
  for await (const [data] of on(stdout, 'data', { close: ['close'] })) {
    log += data;
    const port = log.match(/listening on http:\/\/localhost:(\d+)/)?.[1];
    if (!port) continue;
    stdout.resume(); // the rest of the log is discarded, but must be read
    return `http://127.0.0.1:${port}`;
  }
  throw new Error('the service did not start');
}

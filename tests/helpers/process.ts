import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';
import { MODEL_DIR } from './model.ts';

/** So that no request of a test is refused because this machine is busy. */
export const PATIENT = { MAX_SYNC_MS: '86400000' };

/**
 * The service as a process of its own, as an operator runs it; killed when the test is over.
 *
 * @param stderr 'pipe', or a file descriptor to which it writes instead
 */
export function startProcess(env: Record<string, string> = {}, stderr: 'pipe' | number = 'pipe') {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/main.ts'], {
    env: { ...process.env, MODEL_DIR, HOST: '127.0.0.1', PORT: '0', ...PATIENT, ...env },
    stdio: ['ignore', 'pipe', stderr],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const output = { text: '', stdout: '' };
  const exit = once(child, 'exit') as Promise<[number | null, string | null]>;
  /** Where it listens; rejects when it ends before. */
  const url = new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (data) => {
        output.text += data;
        if (stream === child.stdout) output.stdout += data;
        const port = output.text.match(/listening on http:\/\/localhost:(\d+)/)?.[1];
        if (port) resolve(`http://127.0.0.1:${port}`);
      });
    }
    child.once('close', () => reject(new Error(`the service did not start:\n${output.text}`)));
  });
  url.catch(() => {}); // not every test awaits it
  return { child, output, url, exit };
}

import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createLog } from '../../src/log.ts';
import { LogOutput } from '../../src/log-output.ts';

test('a log on a full disk stops nothing', () => {
  const fd = openSync('/dev/full', 'w');
  onTestFinished(() => closeSync(fd));
  const log = createLog('info', (text) => text, new LogOutput(fd));
  for (let i = 0; i < 3; i++) log.fatal('lost');
});

/** A pipe with room for 65,536 bytes, and a function that reads what is in it. */
function pipe() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'log-'));
  const fifo = path.join(folder, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
  onTestFinished(() => {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  const buffer = Buffer.alloc(65_536);
  return { fd, read: () => buffer.toString('utf8', 0, readSync(fd, buffer)) };
}

test('lines that nobody reads are lost, and are counted once there is room again', () => {
  const { fd, read } = pipe();
  const output = new LogOutput(fd);
  output.write(`${'x'.repeat(65_535)}\n`);
  output.write('lost 1\n');
  output.write('lost 2\n');
  expect(read()).toHaveLength(65_536);
  output.write('kept\n');
  const [kept, counted] = read().trim().split('\n');
  expect(kept).toBe('kept');
  expect(JSON.parse(counted)).toMatchObject({
    level: 40,
    msg: 'log lines that could not be written before this one: 2',
  });
});

test('only the first lost line is waited for', () => {
  const output = new LogOutput(pipe().fd);
  output.write(`${'x'.repeat(65_535)}\n`);
  const wait = vi.spyOn(Atomics, 'wait').mockReturnValue('timed-out');
  onTestFinished(() => wait.mockRestore());
  output.write('lost 1\n');
  const waits = wait.mock.calls.length;
  expect(waits).toBeGreaterThan(0);
  output.write('lost 2\n');
  expect(wait.mock.calls.length).toBe(waits);
});

test('a line that was written in part does not run into the next one', () => {
  const { fd, read } = pipe();
  const output = new LogOutput(fd);
  output.write(`${'x'.repeat(57_343)}\n`);
  output.write(`${'y'.repeat(20_000)}\n`); // longer than a page, so that what fits is written
  const torn = read();
  expect(torn).toMatch(/y$/);
  output.write('kept\n');
  expect(read()).toMatch(/^\nkept\n\{.*\}\n$/);
});

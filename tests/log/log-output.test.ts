import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createLog } from '../../src/log.ts';
import { LogOutput } from '../../src/log-output.ts';

test('a log on a full disk stops nothing', () => {
  const fd = openSync('/dev/full', 'w');
  onTestFinished(() => closeSync(fd));
  const log = createLog('info', (text) => text, new LogOutput(fd));
  for (let i = 0; i < 3; i++) log.fatal('lost');
});

test('lines that nobody reads are lost, and are counted once there is room again', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'log-'));
  const fifo = path.join(folder, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
  onTestFinished(() => {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  const output = new LogOutput(fd);
  const line = `${'x'.repeat(65_535)}\n`; // a pipe has room for 65,536 bytes
  output.write(line);
  output.write('lost 1\n');
  output.write('lost 2\n');
  const read = Buffer.alloc(65_536);
  expect(readSync(fd, read)).toBe(65_536);
  output.write('kept\n');
  const [kept, counted] = read.toString('utf8', 0, readSync(fd, read)).trim().split('\n');
  expect(kept).toBe('kept');
  expect(JSON.parse(counted)).toMatchObject({
    level: 40,
    msg: 'log lines that could not be written before this one: 2',
  });
});

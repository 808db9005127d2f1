import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { Rewritten } from '../../src/image/rewritten.ts';
import { noise, pngChunk, raw } from './make.ts';

const FILE = Buffer.from('abcdef');

test('a file of which everything is kept is not copied', () => {
  const whole = new Rewritten(FILE);
  whole.keep(0, 4);
  whole.keep(4, 6);
  expect(whole.result()).toBe(FILE);
});

test('parts are kept and replaced, and the file stays as it was', () => {
  const changed = new Rewritten(FILE, 2);
  changed.keep(0, 2);
  const put = changed.put(Buffer.from('12'));
  changed.keep(3, 6);
  changed.put(Buffer.from('3'));
  put[0] = 'X'.charCodeAt(0);
  expect(changed.result().toString()).toBe('abX2def3');
  expect(FILE.toString()).toBe('abcdef');
});

/** The length of a file as it is given to the decoder, found by a process with a heap of 100 MB. */
function lengthWithSmallHeap(file: Buffer): number {
  const script = new URL('./source-length.ts', import.meta.url).pathname;
  const args = ['--max-old-space-size=100', '--import', 'tsx', script];
  const { stdout } = spawnSync(process.execPath, args, { input: file, encoding: 'utf8' });
  return Number(stdout);
}

const PARTS = 2_000_000;

test('millions of segments of a JPEG take no memory besides the file', async () => {
  const jpeg = await raw(noise(40, 30, 3))
    .jpeg()
    .toBuffer();
  const marker = Buffer.from([0xff, 0x01]); // TEM, which has no contents
  const file = Buffer.concat([jpeg.subarray(0, 2), Buffer.alloc(PARTS * 2, marker), jpeg.subarray(2, -2)]);
  expect(lengthWithSmallHeap(file)).toBe(file.length + 2);
});

test('millions of texts between chunks of a PNG take no memory besides the file', async () => {
  const png = await raw(noise(40, 30, 3))
    .png()
    .toBuffer();
  const pair = Buffer.concat([pngChunk('tEXt', Buffer.alloc(0)), pngChunk('prVt', Buffer.alloc(0))]);
  const file = Buffer.concat([png.subarray(0, 33), Buffer.alloc((PARTS / 2) * 24, pair), png.subarray(33)]);
  expect(lengthWithSmallHeap(file)).toBe(png.length + (PARTS / 2) * 12);
});

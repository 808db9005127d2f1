import { mkdtemp, readdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { readTuning, tuningKey, writeTuning } from '../../src/engine/tuning.ts';

const RUNTIME = { engine: 'onnx', device: 'cpu', library: 'onnxruntime-node' } as const;
const folder = await mkdtemp(path.join(os.tmpdir(), 'tuning-'));

test('what was measured is found again under its key alone', async () => {
  const measured = { rssBytes: 100_000_000, bestBatch: 8 };
  const key = tuningKey(RUNTIME, 'a');
  await writeTuning(path.join(folder, 'new'), key, measured);
  expect(await readTuning(path.join(folder, 'new'), key)).toEqual(measured);
  for (const other of [
    tuningKey(RUNTIME, 'b'),
    tuningKey(RUNTIME, 'a', 4),
    tuningKey({ ...RUNTIME, device: 'cuda' }, 'a'),
  ])
    expect(await readTuning(path.join(folder, 'new'), other)).toBeUndefined();
});

test.each([
  '',
  '{"rssBytes":1',
  '{"rssBytes":0,"bestBatch":1}',
  '{"rssBytes":1,"bestBatch":1e9}',
  '[]',
])('a file with %j counts as absent', async (text) => {
  const key = tuningKey(RUNTIME, 'damaged');
  await writeTuning(folder, key, { rssBytes: 1, bestBatch: 1 });
  const [file] = (await readdir(folder)).filter((name) => name.endsWith('.json'));
  await writeFile(path.join(folder, file), text);
  expect(await readTuning(folder, key)).toBeUndefined();
});

test('a folder that cannot be made is no error', async () => {
  const file = path.join(folder, 'a-file');
  await writeFile(file, '');
  await writeTuning(file, tuningKey(RUNTIME, 'a'), { rssBytes: 1, bestBatch: 1 });
  expect(await readTuning(file, tuningKey(RUNTIME, 'a'))).toBeUndefined();
});

import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { NetworkSpec } from '../../src/engine/network.ts';
import { loadOnnx } from '../../src/engine/onnx.ts';
import { WorkerPool } from '../../src/engine/pool.ts';
import { runtimes } from '../../src/engine/runtimes.ts';
import { loadTfjs } from '../../src/engine/tfjs/tfjs.ts';
import { realModelSpec } from '../helpers/model.ts';
import { fillingDifference } from './filling.ts';
import { difference, engineSuite } from './suite.ts';

const spec = await realModelSpec();
const onnx = loadOnnx(spec);
const TFJS = runtimes({ engine: 'tfjs', device: 'auto' });
const WASM: NetworkSpec = {
  ...spec,
  engine: 'tfjs',
  device: 'cpu',
  library: '@tensorflow/tfjs-backend-wasm',
};
/** The largest difference that was measured is 5e-6. TF32, which a GPU's convolutions take, keeps 10 bits. */
const TOLERANCE = { cpu: { toOnnx: 5e-5, toBatch: 1e-5 }, cuda: { toOnnx: 2e-2, toBatch: 2e-2 } };

engineSuite(spec, loadOnnx, onnx, { toOnnx: 0, toBatch: 0 });

for (const runtime of TFJS) {
  const { library, device } = runtime;
  // Every operation in plain JavaScript: seconds an evaluation. The suite is the same on any other backend.
  if (library === '@tensorflow/tfjs-backend-cpu') continue;
  if (!installed(library)) {
    describe.skip(`${library} on ${device}: it is not installed`, () => test('every engine', () => {}));
    continue;
  }
  engineSuite({ ...spec, ...runtime }, loadTfjs, onnx, {
    ...TOLERANCE[device === 'cuda' ? 'cuda' : 'cpu'],
    tensors: () => tf.memory().numTensors,
  });
}

describe('a library that cannot be used is a sentence', () => {
  const missing = TFJS.find(({ library }) => !installed(library));
  test.skipIf(!missing)('not installed: how to install it', async () => {
    // In a worker: the test runner's own import() words it differently.
    const start = WorkerPool.start({ spec: { ...spec, ...missing } as NetworkSpec, workers: 1 });
    await expect(start).rejects.toThrow(
      `${missing?.library} is not installed: npm install ${missing?.library}`,
    );
  });

  test('no GPU where one is asked for', async () => {
    const load = loadTfjs({ ...WASM, device: 'cuda' });
    await expect(load).rejects.toThrow('@tensorflow/tfjs-backend-wasm finds no GPU');
  });
});

test('a worker process evaluates with tfjs', async () => {
  const pool = await WorkerPool.start({ spec: WASM, workers: 1 });
  onTestFinished(() => pool.close());
  expect(pool.info).toMatchObject({
    engine: 'tfjs',
    device: 'cpu',
    deviceName: expect.stringContaining('wasm'),
  });
  const batch = { rows: 1, x: new Float32Array(4 * 64 * 64).fill(0.5), t: Float32Array.of(500) };
  const expected = await (await onnx).evaluate(batch, false);
  expect(difference(await pool.evaluate(batch), expected)).toBeLessThan(TOLERANCE.cpu.toOnnx);
});

test('a hole is filled as onnx fills it, to 2 of 255 on average', async () => {
  expect(await fillingDifference(spec, await loadTfjs(WASM), await onnx)).toBeLessThan(2);
});

function installed(library: string): boolean {
  try {
    return createRequire(import.meta.url).resolve(library) !== '';
  } catch {
    return false;
  }
}

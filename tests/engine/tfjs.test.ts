import { rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { gaussian } from '../../src/diffusion/noise.ts';
import { inputLength, type NetworkSpec, type Runtime } from '../../src/engine/network.ts';
import { WorkerPool } from '../../src/engine/pool.ts';
import { runtimes } from '../../src/engine/runtimes.ts';
import { loadTfjs } from '../../src/engine/tfjs/tfjs.ts';
import { goldenBatch } from '../helpers/golden.ts';
import { realModelSpec } from '../helpers/model.ts';
import { available } from '../helpers/optional.ts';
import { difference, engineSuite } from './suite.ts';
import { tinyModelSpec } from './tiny.ts';

const spec = await realModelSpec();
const TFJS = runtimes({ engine: 'tfjs', device: 'auto' });
const WASM: NetworkSpec = {
  ...spec,
  engine: 'tfjs',
  device: 'cpu',
  library: '@tensorflow/tfjs-backend-wasm',
};
/** The largest difference that was measured is 6e-6. TF32, which a GPU's convolutions take, keeps 10 bits. */
const TOLERANCE = { cpu: { toPyTorch: 5e-5, toBatch: 1e-5 }, cuda: { toPyTorch: 2e-2, toBatch: 2e-2 } };

for (const runtime of TFJS) {
  const { library, device } = runtime;
  // Optional peer dependencies: npm ci installs none, and .ci/tfjs installs the one that TFJS_LIBRARY names.
  const required = library === process.env.TFJS_LIBRARY;
  if (!available(installed(library), `${library} is not installed (docker/install-tfjs.sh)`, required))
    continue;
  // Every operation in plain JavaScript: seconds an evaluation. The suite is the same on any other backend.
  if (library === '@tensorflow/tfjs-backend-cpu') continue;
  flatMemory(runtime);
  engineSuite({ ...spec, ...runtime }, loadTfjs, {
    ...TOLERANCE[device === 'cuda' ? 'cuda' : 'cpu'],
    tensors: () => tf.memory().numTensors,
  });
}

/** A tensor that is left behind is never freed, and stays in these counts: TensorFlow.js has no garbage collection. */
function flatMemory(runtime: Runtime) {
  test(`${runtime.library}: memory is flat over 100 evaluations`, async () => {
    const tiny = await tinyModelSpec(spec);
    onTestFinished(() => rm(tiny.folder, { recursive: true }));
    const network = await loadTfjs({ ...tiny, ...runtime });
    const x = gaussian({ seed: 5, candidate: 0, step: 0 }, inputLength(tiny.networks.base));
    const evaluate = (t: number) =>
      network.evaluate({ network: 'base', rows: 1, x, t: Float32Array.of(t) }, false);
    const inUse = () => {
      const { numTensors, numDataBuffers, numBytes } = tf.memory();
      return { numTensors, numDataBuffers, numBytes };
    };
    const [first, before] = [await evaluate(0), inUse()];
    for (let t = 10; t < 999; t += 10) await evaluate(t);
    expect(difference(first, await evaluate(999))).toBeGreaterThan(0.01); // it does compute
    expect(inUse()).toEqual(before);
  });
}

describe('a library that cannot be used is a sentence', () => {
  const missing = TFJS.find(({ library }) => !installed(library));
  if (missing) {
    test('not installed: how to install it', async () => {
      // In a worker: the test runner's own import() words it differently.
      const start = WorkerPool.start({ spec: { ...spec, ...missing }, workers: 1 });
      const kind = missing.library.endsWith('gpu') ? 'gpu' : 'cpu';
      await expect(start).rejects.toThrow(
        `${missing.library} is not installed: docker/install-tfjs.sh ${kind}`,
      );
    });
  }

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
  const { batch, prediction } = goldenBatch([1], inputLength(WASM.networks.base));
  expect(difference(await pool.evaluate(batch), prediction)).toBeLessThan(TOLERANCE.cpu.toPyTorch);
});

function installed(library: string): boolean {
  try {
    return createRequire(import.meta.url).resolve(library) !== '';
  } catch {
    return false;
  }
}

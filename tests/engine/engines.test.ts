import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Engine, EngineInfo } from '../../src/engine/engine.ts';
import type { Network, NetworkSpec } from '../../src/engine/network.ts';
import { loadOnnx } from '../../src/engine/onnx.ts';
import { WorkerPool } from '../../src/engine/pool.ts';
import { runtimes } from '../../src/engine/runtimes.ts';
import { loadTfjs } from '../../src/engine/tfjs/tfjs.ts';
import { decodePicture } from '../../src/image/decode.ts';
import { decodeMask } from '../../src/image/mask.ts';
import { inpaint } from '../../src/inpainting/inpaint.ts';
import type { ModelCard } from '../../src/registry/model-card.ts';
import type { ServedModel } from '../../src/registry/served-model.ts';
import { Scheduler } from '../../src/scheduler/scheduler.ts';
import { openRealRegistry, realModelSpec } from '../helpers/model.ts';
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
  const { card } = (await openRealRegistry()).get();
  const picture = await decodePicture(await readFile('examples/face-1.png'), 'image', { maxPixels: 1e6 });
  const mask = await decodeMask(await readFile('examples/mask-1.png'), 'mask', { maxPixels: 1e6 });
  const sampling = { seed: 7, numImages: 1, sampler: 'ddpm', steps: 6, eta: 0 } as const;
  const parameters = { ...sampling, strategy: 'auto', maskBlur: 0 } as const;
  const fill = async (network: Network) => {
    const { pictures } = await inpaint(served(card, network), { picture, mask, parameters });
    return pictures[0].data;
  };
  const [expected, filled] = [await fill(await onnx), await fill(await loadTfjs(WASM))];
  const hole = [...filled.keys()].filter((i) => mask.data[Math.floor(i / picture.channels)] > 0);
  const total = hole.reduce((sum, i) => sum + Math.abs(filled[i] - expected[i]), 0);
  expect(total / hole.length).toBeLessThan(2);
});

/** The model, its network in this process: the suite is about what is computed, not where. */
function served(card: ModelCard, network: Network): ServedModel {
  const info: EngineInfo = { ...spec, ...network, bestBatch: 1, workers: 1 };
  const engine: Engine = {
    info,
    alive: 1,
    onAlive: undefined,
    evaluate: (batch) => network.evaluate(batch, true),
    close: async () => {},
  };
  const scheduler = new Scheduler({ engine, limit: 8 });
  return { ref: 'test', card, digest: '', state: 'ready', open: async () => ({ scheduler, engine: info }) };
}

function installed(library: string): boolean {
  try {
    return createRequire(import.meta.url).resolve(library) !== '';
  } catch {
    return false;
  }
}

import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { EngineError } from '../../src/engine/engine.ts';
import { inputLength, type NetworkSpec, type Networks, outputLength } from '../../src/engine/network.ts';
import { loadOnnx } from '../../src/engine/onnx.ts';
import { WorkerPool } from '../../src/engine/pool.ts';
import { loadTfjs } from '../../src/engine/tfjs/tfjs.ts';
import { goldenBatch } from '../helpers/golden.ts';
import { realModelSpec } from '../helpers/model.ts';
import { REFINER, refinedModelSpec, refinerBatch } from '../helpers/refiner.ts';
import { difference } from './suite.ts';

const spec = await refinedModelSpec();
afterAll(() => rm(spec.folder, { recursive: true }));

const all = refinerBatch([0, 1, 2, 3]);
const base = goldenBatch([1], inputLength(spec.networks.base));
const WASM: NetworkSpec = {
  ...spec,
  engine: 'tfjs',
  device: 'cpu',
  library: '@tensorflow/tfjs-backend-wasm',
};

describe('a version with a refiner, on onnx', () => {
  let networks: Networks;
  beforeAll(async () => {
    networks = await loadOnnx(spec);
  });

  test('has both networks', () => {
    expect(networks.networks).toEqual(['base', 'refiner']);
  });

  // The largest difference that was measured is 3e-6.
  test('the refiner agrees with PyTorch to 2e-5, every row at a timestep of its own', async () => {
    expect(difference(await networks.evaluate(all.batch, false), all.prediction)).toBeLessThan(2e-5);
  });

  test('a row of the refiner is the same bits alone, in a batch, and on one thread or all', async () => {
    const together = await networks.evaluate(all.batch, false);
    const length = outputLength(REFINER);
    for (const i of [0, 1, 2, 3]) {
      const expected = together.subarray(i * length, (i + 1) * length);
      for (const exclusive of [false, true])
        expect(await networks.evaluate(refinerBatch([i]).batch, exclusive)).toEqual(expected);
    }
  });

  test('the base network is what it is without a refiner', async () => {
    const alone = await (await loadOnnx(await realModelSpec())).evaluate(base.batch, false);
    expect(await networks.evaluate(base.batch, false)).toEqual(alone);
  });

  test.each<[name: string, bytes: string | undefined, sentence: RegExp]>([
    ['missing', undefined, /refiner\.onnx cannot be loaded \(.*\): export the model again/s],
    ['not ONNX', 'no network', /refiner\.onnx cannot be loaded \(.*Protobuf.*\): export the model again/s],
  ])('a refiner that is %s is a sentence that names its file', async (_, bytes, sentence) => {
    const broken = await refinedModelSpec();
    onTestFinished(() => rm(broken.folder, { recursive: true }));
    const file = path.join(broken.folder, REFINER.file);
    await rm(file);
    if (bytes !== undefined) await writeFile(file, bytes);
    await expect(loadOnnx(broken)).rejects.toThrow(sentence);
  });

  test('a refiner of another shape than the card says is refused', async () => {
    const refiner = { ...REFINER, resolution: 64 };
    const other = { ...spec, networks: { ...spec.networks, refiner } };
    await expect(loadOnnx(other)).rejects.toThrow(
      /refiner\.onnx has x \[N,8,16,16\].*requires x \[N,8,64,64\], t \[N\], prediction \[N,3,64,64\]/,
    );
  });
});

test('a worker process evaluates whichever network a batch names', async () => {
  const evaluated: string[] = [];
  const onEvaluation = ({ network }: { network: string }) => evaluated.push(network);
  const pool = await WorkerPool.start({ spec, workers: 1, onEvaluation });
  onTestFinished(() => pool.close());
  expect(pool.info.networks).toEqual(['base', 'refiner']);
  const [refined, filled] = await Promise.all([pool.evaluate(all.batch), pool.evaluate(base.batch)]);
  expect(difference(refined, all.prediction)).toBeLessThan(2e-5);
  expect(difference(filled, base.prediction)).toBeLessThan(5e-5);
  expect(evaluated).toEqual(['refiner', 'base']);
});

test('a version without a refiner says so', async () => {
  const spec = await realModelSpec();
  const { base } = spec.networks;
  const pool = await WorkerPool.start({ spec: { ...spec, networks: { base } }, workers: 1 });
  onTestFinished(() => pool.close());
  expect(pool.info.networks).toEqual(['base']);
  const refused = pool.evaluate(all.batch);
  await expect(refused).rejects.toThrow('the engine onnx does not serve the network refiner of this model');
  await expect(refused).rejects.toThrow(EngineError);
});

test('tfjs serves the base network alone', async () => {
  const pool = await WorkerPool.start({ spec: WASM, workers: 1 });
  onTestFinished(() => pool.close());
  expect(pool.info.networks).toEqual(['base']);
  expect(difference(await pool.evaluate(base.batch), base.prediction)).toBeLessThan(5e-5);
  await expect(pool.evaluate(all.batch)).rejects.toThrow(
    'the engine tfjs does not serve the network refiner',
  );
});

test('tfjs cannot build a base network without its architecture', async () => {
  const { architecture: _, ...without } = spec.networks.base;
  await expect(loadTfjs({ ...WASM, networks: { base: without } })).rejects.toThrow('has no architecture');
});

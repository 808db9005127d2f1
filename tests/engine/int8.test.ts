import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { qSample } from '../../src/diffusion/forward.ts';
import { gaussian } from '../../src/diffusion/noise.ts';
import { scheduleFrom } from '../../src/diffusion/schedule.ts';
import type { Batch } from '../../src/engine/engine.ts';
import { hasFastInt8, type PrecisionChoice } from '../../src/engine/int8.ts';
import { inputLength, type Networks } from '../../src/engine/network.ts';
import { loadOnnx } from '../../src/engine/onnx.ts';
import { readModelCard } from '../../src/model/folder.ts';
import { networksOf } from '../../src/model/networks.ts';
import { FolderRegistry } from '../../src/registry/registry.ts';
import { goldenExample } from '../helpers/golden.ts';
import { MODEL_DIR, realModelSpec } from '../helpers/model.ts';

/** Of the prediction, by training/quantise.py: the root mean square of the difference as a share of the prediction's. */
const LARGEST_ERROR = 0.12;

let [fp32, int8]: Networks[] = [];
let first = 0;
let rowLength = 0;
/** x_t of an example picture whose every pixel is to be filled, [4, R, R]. */
let noisyExample: (t: number) => Float32Array;
beforeAll(async () => {
  const spec = await realModelSpec();
  const card = await readModelCard(spec.folder);
  const networks = networksOf(card, { int8: true });
  first = networks.base.int8?.fromTimestep ?? 0;
  rowLength = inputLength(networks.base);
  fp32 = await loadOnnx(spec);
  int8 = await loadOnnx({ ...spec, networks });
  const { x0 } = await goldenExample(card.resolution);
  const schedule = scheduleFrom(card.schedule);
  const eps = gaussian({ seed: 3, candidate: 0, step: 0 }, x0.length);
  noisyExample = (t) => {
    const x = new Float32Array(rowLength).fill(1);
    x.set(qSample(schedule, x0, t, eps));
    return x;
  };
});

/** Rows of noise at these timesteps. */
function noise(t: number[]): Batch {
  const x = new Float32Array(t.length * rowLength);
  for (const i of t.keys()) x.set(gaussian({ seed: 3, candidate: i, step: 0 }, rowLength), i * rowLength);
  return { network: 'base', rows: t.length, x, t: Float32Array.from(t) };
}

const rms = (values: Float32Array) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);

test('says which number format it evaluates in', () => {
  expect([fp32.precision, int8.precision]).toEqual(['fp32', 'int8']);
  expect(first).toBeGreaterThan(0);
});

test('timesteps below from_timestep are evaluated in fp32', async () => {
  const batch = noise([first - 1]);
  expect(await int8.evaluate(batch, false)).toEqual(await fp32.evaluate(batch, false));
});

test('the others are evaluated in int8, close to fp32', async () => {
  for (const t of [first, 600, 999]) {
    const batch: Batch = { network: 'base', rows: 1, x: noisyExample(t), t: Float32Array.of(t) };
    const [wanted, found] = [await fp32.evaluate(batch, false), await int8.evaluate(batch, false)];
    const error = rms(found.map((value, i) => value - wanted[i])) / rms(wanted);
    expect(error).toBeGreaterThan(1e-4);
    expect(error).toBeLessThan(LARGEST_ERROR);
  }
});

test('a row has the same bits alone, in a batch of both formats, and on all threads', async () => {
  const batch = noise([900, first - 1, first]);
  const together = await int8.evaluate(batch, false);
  expect(await int8.evaluate(batch, true)).toEqual(together);
  const length = together.length / 3;
  for (const i of [0, 1, 2]) {
    const x = batch.x.slice(i * rowLength, (i + 1) * rowLength);
    const alone = await int8.evaluate({ ...batch, rows: 1, x, t: batch.t.slice(i, i + 1) }, false);
    expect(alone).toEqual(together.slice(i * length, (i + 1) * length));
  }
});

test('the refiner is evaluated in fp32', async () => {
  const spec = await realModelSpec();
  const { resolution, inChannels } = spec.networks.refiner ?? { resolution: 0, inChannels: 0 };
  const x = gaussian({ seed: 4, candidate: 0, step: 0 }, inChannels * resolution ** 2);
  const batch: Batch = { network: 'refiner', rows: 1, x, t: Float32Array.of(900) };
  expect(await int8.evaluate(batch, false)).toEqual(await fp32.evaluate(batch, false));
});

test.each<[PrecisionChoice | undefined, string]>([
  [undefined, 'fp32'],
  ['int8', 'int8'],
  ['auto', hasFastInt8() ? 'int8' : 'fp32'],
])('the setting %s makes the service evaluate in %s', async (precision, expected) => {
  const registry = await FolderRegistry.open({
    modelDir: MODEL_DIR,
    engine: { engine: 'onnx', device: 'cpu', precision },
    queue: { limit: 16 },
  });
  onTestFinished(() => registry.close());
  const { engine } = await registry.get().open();
  expect(engine.precision).toBe(expected);
});

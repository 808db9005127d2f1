import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { gaussian } from '../../src/diffusion/noise.ts';
import type { Batch } from '../../src/engine/engine.ts';
import type { Network, NetworkSpec } from '../../src/engine/network.ts';
import { WorkerPool } from '../../src/engine/pool.ts';
import { fill } from './fill.ts';

/** What an engine promises of the real model's outputs, which are of the order of 1. */
export interface Promised {
  /** Largest difference to onnx on the CPU. */
  toOnnx: number;
  /** Largest difference of a row alone to the same row in a batch; 0: the same bits. */
  toBatch: number;
  /** Timesteps of the rows that are evaluated together; fewer where an evaluation takes seconds. */
  timesteps?: number[];
  /** Denoising steps of the hole that is filled. */
  steps?: number;
  /** How many tensors are alive, where the engine can say. */
  tensors?: () => number;
}

/** Largest absolute difference. */
export function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i] - b[i]));
  return largest;
}

/** What every engine has to do, whatever library is beneath it. */
export function engineSuite(
  spec: NetworkSpec,
  load: (spec: NetworkSpec) => Promise<Network>,
  onnx: Promise<Network>,
  { toOnnx, toBatch, timesteps: T = [0, 137, 601, 999], steps = 6, tensors }: Promised,
) {
  const rowLength = spec.inChannels * spec.resolution ** 2;
  const outLength = spec.outChannels * spec.resolution ** 2;

  /** A row of noise for each timestep: the `from`th and on. */
  const batchOf = (t: number[], from = 0): Batch => {
    const x = new Float32Array(t.length * rowLength);
    for (const i of t.keys()) {
      x.set(gaussian({ seed: 5, candidate: from + i, step: 0 }, rowLength), i * rowLength);
    }
    return { rows: t.length, x, t: Float32Array.from(t) };
  };
  const rowOf = (prediction: Float32Array, i: number) =>
    prediction.subarray(i * outLength, (i + 1) * outLength);

  describe(`${spec.library} on ${spec.device}`, () => {
    let network: Network;
    let together: Float32Array;
    beforeAll(async () => {
      network = await load(spec);
      together = await network.evaluate(batchOf(T), false);
    });

    test('says what it runs on', () => {
      expect(network.deviceName).not.toBe('');
      expect(network.precision).toBe('fp32');
    });

    test('predicts a picture for every row', () => {
      expect(together).toBeInstanceOf(Float32Array);
      expect(together.length).toBe(T.length * outLength);
    });

    test(`agrees with onnx to ${toOnnx}, every row at a timestep of its own`, async () => {
      expect(difference(together, await (await onnx).evaluate(batchOf(T), false))).toBeLessThanOrEqual(
        toOnnx,
      );
    });

    test(`a row alone is what it is in a batch, to ${toBatch}`, async () => {
      for (const [i, t] of T.entries()) {
        const alone = await network.evaluate(batchOf([t], i), i % 2 === 0);
        expect(difference(alone, rowOf(together, i))).toBeLessThanOrEqual(toBatch);
      }
    });

    test('the timestep matters', async () => {
      const later = await network.evaluate(batchOf([T[0] + 400]), false);
      expect(difference(later, rowOf(together, 0))).toBeGreaterThan(0.01);
    });

    test('rows of the wrong size are refused, and the next are evaluated', async () => {
      const wrong = { rows: 2, x: new Float32Array(7), t: new Float32Array(2) };
      await expect(network.evaluate(wrong, false)).rejects.toThrow();
      const next = await network.evaluate(batchOf([T[0]]), false);
      expect(difference(next, rowOf(together, 0))).toBeLessThanOrEqual(toBatch);
    });

    test('a worker that dies in mid-evaluation is replaced, and the next evaluates its row', async () => {
      const one = { ...spec, maxBatch: 1 };
      const pool = await WorkerPool.start({
        spec: one,
        workers: 1,
        restartDelayMs: 10,
        replacementTimeoutMs: 300_000,
      });
      onTestFinished(() => pool.close());
      const [pid] = pool.pids;
      const running = pool.evaluate(batchOf([T[0]]));
      process.kill(pid, 'SIGKILL');
      expect(difference(await running, rowOf(together, 0))).toBeLessThanOrEqual(toBatch);
      expect(pool.pids).not.toContain(pid);
    });

    if (tensors) {
      test('no tensor is left behind, after an error neither', async () => {
        const before = tensors();
        for (let i = 0; i < 3; i++) await network.evaluate(batchOf([i]), false);
        await network.evaluate({ ...batchOf([1]), rows: 2 }, false).catch(() => {});
        expect(tensors()).toBe(before);
      });
    }

    test('a hole is filled as onnx fills it, to 2 of 255 on average', async () => {
      const [expected, filled] = [await fill(await onnx, steps), await fill(network, steps)];
      const total = filled.reduce((sum, value, i) => sum + Math.abs(value - expected[i]), 0);
      expect(total / filled.length).toBeLessThan(2);
    });

    test('a model that is not there is an error that names the file', async () => {
      await expect(load({ ...spec, folder: '/nowhere' })).rejects.toThrow(/\/nowhere\/(unet|weights)\.\w+/);
    });
  });
}

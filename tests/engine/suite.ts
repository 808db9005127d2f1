import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Batch } from '../../src/engine/engine.ts';
import { inputLength, type NetworkSpec, type Networks, outputLength } from '../../src/engine/network.ts';
import { WorkerPool } from '../../src/engine/pool.ts';
import { denoiseExample, goldenBatch, goldenExample, goldenRun } from '../helpers/golden.ts';

/** What an engine promises of the real model's outputs, which are of the order of 1. */
export interface Promised {
  /** Largest difference to PyTorch's predictions. */
  toPyTorch: number;
  /** Largest difference of a row alone to the same row in a batch; 0: the same bits. */
  toBatch: number;
  /** Which golden rows are evaluated together; fewer where an evaluation takes seconds. */
  rows?: number[];
  /** Whether a worker process can load the model in seconds, so that one may die and be replaced. */
  restarts?: boolean;
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
  load: (spec: NetworkSpec) => Promise<Networks>,
  { toPyTorch, toBatch, rows = [0, 1, 2, 3], restarts = true, tensors }: Promised,
) {
  const rowLength = inputLength(spec.networks.base);
  const outLength = outputLength(spec.networks.base);
  const { batch, prediction: expected } = goldenBatch(rows, rowLength);
  const first = goldenBatch(rows.slice(0, 1), rowLength).batch;
  /** The first row, at another timestep. */
  const firstAt = (t: number): Batch => ({ ...first, t: Float32Array.of(t) });
  const rowOf = (prediction: Float32Array, i: number) =>
    prediction.subarray(i * outLength, (i + 1) * outLength);

  describe(`${spec.library} on ${spec.device}`, () => {
    let network: Networks;
    let together: Float32Array;
    beforeAll(async () => {
      network = await load(spec);
      together = await network.evaluate(batch, false);
    });

    test('says what it runs on', () => {
      expect(network.deviceName).not.toBe('');
      expect(network.precision).toBe('fp32');
    });

    test('predicts a picture for every row', () => {
      expect(together).toBeInstanceOf(Float32Array);
      expect(together.length).toBe(rows.length * outLength);
    });

    test(`agrees with PyTorch to ${toPyTorch}, every row at a timestep of its own`, () => {
      expect(difference(together, expected)).toBeLessThan(toPyTorch);
    });

    test(`a row alone is what it is in a batch, to ${toBatch}`, async () => {
      for (const [i, row] of rows.entries()) {
        const alone = await network.evaluate(goldenBatch([row], rowLength).batch, i % 2 === 0);
        expect(difference(alone, rowOf(together, i))).toBeLessThanOrEqual(toBatch);
      }
    });

    test('the timestep matters', async () => {
      const later = await network.evaluate(firstAt(first.t[0] + 400), false);
      expect(difference(later, rowOf(together, 0))).toBeGreaterThan(0.01);
    });

    test('rows of the wrong size are refused, and the next are evaluated', async () => {
      const wrong: Batch = { ...first, rows: 2, x: new Float32Array(7), t: new Float32Array(2) };
      await expect(network.evaluate(wrong, false)).rejects.toThrow();
      const next = await network.evaluate(first, false);
      expect(difference(next, rowOf(together, 0))).toBeLessThanOrEqual(toBatch);
    });

    if (restarts) {
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
        const running = pool.evaluate(first);
        process.kill(pid, 'SIGKILL');
        expect(difference(await running, rowOf(together, 0))).toBeLessThanOrEqual(toBatch);
        expect(pool.pids).not.toContain(pid);
      });
    }

    if (tensors) {
      test('no tensor is left behind, after an error neither', async () => {
        const before = tensors();
        for (let i = 0; i < 3; i++) await network.evaluate(firstAt(i), false);
        await network.evaluate({ ...first, rows: 2 }, false).catch(() => {});
        expect(tensors()).toBe(before);
      });
    }

    test('fills a hole as PyTorch does, to 2 of 255 on average', async () => {
      const filled = await denoiseExample(network);
      const { mask } = await goldenExample(spec.networks.base.resolution);
      const total = filled.reduce((sum, value, i) => sum + Math.abs(value - goldenRun[i]), 0);
      const count = 3 * mask.reduce((sum, inHole) => sum + inHole, 0);
      expect((total / count) * 127.5).toBeLessThan(2);
    });

    test('a model that is not there is an error that names the file', async () => {
      await expect(load({ ...spec, folder: '/nowhere' })).rejects.toThrow(/\/nowhere\/(unet|weights)\.\w+/);
    });
  });
}

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { gaussian } from '../../src/diffusion/noise.ts';
import { type Batch, EngineError } from '../../src/engine/engine.ts';
import { inputLength, type NetworkSpec, outputLength } from '../../src/engine/network.ts';
import { WorkerPool } from '../../src/engine/pool.ts';
import { workerCount } from '../../src/engine/worker-count.ts';
import { realModelSpec } from '../helpers/model.ts';

const spec = await realModelSpec();
const rowLength = inputLength(spec.networks.base);

/** `rows` different rows, at different timesteps. */
function batchOf(rows: number, from = 0): Batch {
  const x = new Float32Array(rows * rowLength);
  for (let i = 0; i < rows; i++) {
    x.set(gaussian({ seed: 5, candidate: from + i, step: 0 }, rowLength), i * rowLength);
  }
  const t = Float32Array.from({ length: rows }, (_, i) => (137 * (from + i)) % 1000);
  return { network: 'base', rows, x, t };
}

describe('the real model in worker processes', () => {
  const restarts: string[] = [];
  let pool: WorkerPool;
  beforeAll(async () => {
    pool = await WorkerPool.start({
      spec,
      workers: 2,
      restartDelayMs: 10,
      onRestart: (how) => restarts.push(how),
    });
  });
  afterAll(() => pool.close());

  test('says what it is', () => {
    expect(pool.info).toMatchObject({ engine: 'onnx', device: 'cpu', precision: 'fp32', workers: 2 });
    expect(pool.info.networks).toEqual(['base', 'refiner']);
    expect(pool.info.bestBatch).toBeGreaterThanOrEqual(1);
    expect(pool.alive).toBe(2);
  });

  test('a row is the same bits alone, in a batch of mixed timesteps, and on one thread or all', async () => {
    const together = await pool.evaluate(batchOf(4));
    const length = together.length / 4;
    expect(length).toBe(outputLength(spec.networks.base));
    for (let i = 0; i < 4; i++) {
      const expected = together.subarray(i * length, (i + 1) * length);
      expect(await pool.evaluate(batchOf(1, i))).toEqual(expected);
      expect(await pool.evaluate(batchOf(1, i), { exclusive: true })).toEqual(expected);
    }
  });

  test('says how long a row takes, as measured: per worker where each has its own rows', async () => {
    const seconds: number[] = [];
    const measured = await WorkerPool.start({ spec, workers: 2, onEvaluation: (_, s) => seconds.push(s) });
    onTestFinished(() => measured.close());
    const { base: before = 0, refiner } = measured.rowSeconds;
    expect(before).toBeGreaterThan(0);
    expect(refiner).toBeGreaterThan(0);
    await measured.evaluate(batchOf(2));
    const after = before + 0.1 * (seconds[0] / 2 / 2 - before);
    expect(measured.rowSeconds.base).toBeCloseTo(after, 4);
    await measured.evaluate(batchOf(1), { exclusive: true });
    expect(measured.rowSeconds.base).toBeCloseTo(after + 0.1 * (seconds[1] - after), 4);
    expect(measured.rowSeconds.refiner).toBe(refiner);
  });

  test('the timestep matters', async () => {
    const row = batchOf(1);
    const other = { ...row, t: Float32Array.of(row.t[0] + 400) };
    expect(await pool.evaluate(row)).not.toEqual(await pool.evaluate(other));
  });

  test('a worker killed in mid-evaluation goes unnoticed and is replaced', async () => {
    const expected = await pool.evaluate(batchOf(8));
    const running = [pool.evaluate(batchOf(8)), pool.evaluate(batchOf(8))];
    process.kill(pool.pids[0], 'SIGKILL');
    for (const result of await Promise.all(running)) expect(result).toEqual(expected);
    await expect.poll(() => pool.alive).toBe(2);
    expect(restarts).toEqual(['was ended by SIGKILL']);
    expect(await pool.evaluate(batchOf(8))).toEqual(expected);
  });

  test('with every worker dead it says so, and recovers', async () => {
    for (const pid of pool.pids) process.kill(pid, 'SIGKILL');
    await expect.poll(() => pool.alive).toBe(0);
    await expect(pool.evaluate(batchOf(1))).rejects.toThrow(EngineError);
    await expect.poll(() => pool.alive).toBe(2);
    await expect(pool.evaluate(batchOf(1))).resolves.toBeInstanceOf(Float32Array);
  });

  test('rows of the wrong size are refused, and the worker lives on', async () => {
    const [pid] = pool.pids;
    const wrong = { ...batchOf(2), x: new Float32Array(7) };
    await expect(pool.evaluate(wrong)).rejects.toThrow(EngineError);
    expect(pool.pids).toContain(pid);
  });
});

test('a network that cannot be loaded is an error that says why', async () => {
  const missing: NetworkSpec = { ...spec, folder: '/nowhere' };
  await expect(WorkerPool.start({ spec: missing, workers: 1 })).rejects.toThrow(/nowhere.*unet\.onnx/);
});

test('closing leaves no process behind', async () => {
  const pool = await WorkerPool.start({ spec, workers: 1 });
  const [pid] = pool.pids;
  await pool.close();
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});

test('a pool that knows what a worker takes starts as many as fit, and corrects itself', async () => {
  const few = await WorkerPool.start({ spec, workers: 2, tuned: { rssBytes: 1, bestBatch: 3 } });
  expect(few.alive).toBe(2);
  expect(few.info.bestBatch).toBe(3); // not measured again
  expect(few.tuning.rssBytes).toBeGreaterThan(10_000_000);
  await few.close();
  const wrong = { rssBytes: Number.MAX_SAFE_INTEGER, bestBatch: 1 }; // one worker at first
  const corrected = await WorkerPool.start({ spec, tuned: wrong });
  const { workers } = corrected.info;
  expect(workers).toBe(workerCount('cpu', corrected.tuning.rssBytes, false).workers);
  expect(corrected.alive).toBe(workers);
  await corrected.close();
});

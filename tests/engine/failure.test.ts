import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { gaussian } from '../../src/diffusion/noise.ts';
import type { Batch, Engine } from '../../src/engine/engine.ts';
import { FallbackEngine } from '../../src/engine/fallback.ts';
import { inputLength, type Runtime } from '../../src/engine/network.ts';
import { loadOnnx } from '../../src/engine/onnx.ts';
import { type PoolOptions, WorkerPool } from '../../src/engine/pool.ts';
import { realModelSpec } from '../helpers/model.ts';

const spec = { ...(await realModelSpec()), threads: 1, maxBatch: 1 };
const x = gaussian({ seed: 5, candidate: 0, step: 0 }, inputLength(spec.networks.base));
const row: Batch = { network: 'base', rows: 1, x, t: Float32Array.of(500) };
const expected = await (await loadOnnx(spec)).evaluate(row, false);

/** While it exists, the workers' device fails with the message in it. */
const folder = mkdtempSync(path.join(os.tmpdir(), 'fault-'));
const FAULT = path.join(folder, 'fault');
const fail = (message: string) => writeFileSync(FAULT, message);
const mend = () => rmSync(FAULT, { force: true });
process.env.FAULT = FAULT; // the workers inherit it
beforeEach(mend);
afterAll(() => rmSync(folder, { recursive: true }));

const how: string[] = [];
afterEach(() => {
  how.length = 0;
});
const failing: PoolOptions = {
  spec,
  workers: 1,
  restartDelayMs: 10,
  entry: new URL('./failing-worker.ts', import.meta.url),
  onRestart: (text) => how.push(text),
};

function closedAfterwards<T extends Engine>(engine: T): T {
  onTestFinished(() => engine.close());
  return engine;
}

test.each([
  ['CUDA failure 2: out of memory'],
  ['WebGPU device lost (2): unknown'],
])('%s: the worker is replaced, and its row is evaluated by the next', async (message) => {
  const repaired = (text: string) => {
    how.push(text);
    mend();
  };
  const pool = closedAfterwards(await WorkerPool.start({ ...failing, onRestart: repaired }));
  const [pid] = pool.pids;
  fail(message);
  expect(await pool.evaluate(row)).toEqual(expected);
  expect(how).toEqual([`lost its device: ${message}`]);
  expect(pool.alive).toBe(1);
  expect(pool.pids).not.toContain(pid);
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});

test('why a replacement does not start is told once', async () => {
  const told: string[] = [];
  let tries = 0;
  const beforeReplacing = async () => {
    tries++;
    if (tries < 4) throw new Error('unet.onnx was changed');
  };
  const options = { ...failing, beforeReplacing, onReplaceFailed: (reason: string) => told.push(reason) };
  const pool = closedAfterwards(await WorkerPool.start(options));
  process.kill(pool.pids[0], 'SIGKILL');
  await expect.poll(() => tries).toBe(4);
  await expect.poll(() => pool.alive).toBe(1);
  expect(told).toEqual(['unet.onnx was changed']);
});

test('workers that die together are replaced together; one that dies again without a result waits longer', async () => {
  const pool = closedAfterwards(await WorkerPool.start({ ...failing, workers: 3, restartDelayMs: 20 }));
  const delays: number[] = [];
  const setTimer = globalThis.setTimeout;
  const timers = vi.spyOn(globalThis, 'setTimeout').mockImplementation(((run: () => void, ms: number) => {
    if (new Error().stack?.includes('replaceLater')) delays.push(ms);
    return setTimer(run, ms);
  }) as typeof setTimeout);
  onTestFinished(() => timers.mockRestore());
  for (const pid of pool.pids) process.kill(pid, 'SIGKILL');
  await expect.poll(() => delays).toEqual([20, 20, 20]);
  await expect.poll(() => pool.alive).toBe(3);
  process.kill(pool.pids[0], 'SIGKILL');
  await expect.poll(() => delays).toEqual([20, 20, 20, 40]);
  await expect.poll(() => pool.alive).toBe(3);
  expect(await pool.evaluate(row)).toEqual(expected);
});

test('any other error fails the rows alone', async () => {
  const pool = closedAfterwards(await WorkerPool.start(failing));
  fail('rows of the wrong size');
  await expect(pool.evaluate(row)).rejects.toThrow('rows of the wrong size');
  expect(pool.alive).toBe(1);
  expect(how).toEqual([]);
});

const ON_GPU: Runtime = { engine: 'onnx', device: 'webgpu', library: 'onnxruntime-node' };
const ON_CPU: Runtime = { ...ON_GPU, device: 'cpu' };

async function engineWith(fallbacks: Runtime[], options: Partial<PoolOptions> = {}) {
  const taken: string[] = [];
  const start = (runtime: Runtime, hooks: Pick<PoolOptions, 'onFailing'>) =>
    WorkerPool.start(
      runtime === ON_GPU
        ? { ...failing, ...hooks, ...options, spec: { ...spec, ...runtime } }
        : { ...hooks, spec, workers: 1 },
    );
  const engine = await FallbackEngine.start({
    candidates: [ON_GPU],
    fallbacks: ({ device }) => (device === 'webgpu' ? fallbacks : []),
    start,
    onFallback: (from, to, why) => taken.push(`${from.device} to ${to.device}: ${why}`),
  });
  return { engine: closedAfterwards(engine), taken };
}

test('a device that stays lost: the next runtime takes over, and what was asked is answered there', async () => {
  const { engine, taken } = await engineWith([ON_CPU]);
  const [pid] = engine.pids;
  let called = 0;
  engine.onAliveChange = () => called++;
  fail('WebGPU device lost');
  expect(await engine.evaluate(row)).toEqual(expected);
  expect(taken).toEqual(['webgpu to cpu: a batch of 1 failed (WebGPU device lost)']);
  expect(engine.info.device).toBe('cpu');
  expect(engine.alive).toBe(1);
  expect(called).toBeGreaterThan(0);
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});

test('workers that die before the pool has started are no reason to fall back', async () => {
  const engine = await FallbackEngine.start({
    candidates: [ON_CPU],
    fallbacks: () => [ON_CPU],
    start: (_, { onFailing }) => {
      onFailing?.('the worker ended with code 1'); // an error in it would be an unhandled rejection, which fails the run
      return WorkerPool.start({ spec, workers: 1 });
    },
  });
  expect(await closedAfterwards(engine).evaluate(row)).toEqual(expected);
});

test('without a next runtime it has no worker until the device is back', async () => {
  const { engine } = await engineWith([], { replacementTimeoutMs: 100 });
  fail('WebGPU device lost');
  await expect(engine.evaluate(row)).rejects.toThrow('no replacement started in time');
  expect(engine.alive).toBe(0);
  mend();
  await expect.poll(() => engine.alive).toBe(1);
  expect(await engine.evaluate(row)).toEqual(expected);
});

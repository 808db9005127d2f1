import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { gaussian } from '../../src/diffusion/noise.ts';
import { DEADLINES, type Deadlines } from '../../src/engine/deadlines.ts';
import type { Batch } from '../../src/engine/engine.ts';
import { inputLength } from '../../src/engine/network.ts';
import { loadOnnx } from '../../src/engine/onnx.ts';
import { type PoolOptions, WorkerPool } from '../../src/engine/pool.ts';
import { FolderRegistry } from '../../src/registry/registry.ts';
import { realModelSpec } from '../helpers/model.ts';
import { ModelDir } from '../helpers/model-dir.ts';

const spec = { ...(await realModelSpec()), threads: 1, maxBatch: 1 };
const x = gaussian({ seed: 5, candidate: 0, step: 0 }, inputLength(spec.networks.base));
const row: Batch = { network: 'base', rows: 1, x, t: Float32Array.of(500) };
const expected = await (await loadOnnx(spec)).evaluate(row, false);

const folder = mkdtempSync(path.join(os.tmpdir(), 'hung-'));
const FAULT = path.join(folder, 'fault');
process.env.FAULT = FAULT; // the workers inherit these two
process.env.HUNG_VERSION = '/8';
afterAll(() => rmSync(folder, { recursive: true }));

/**
 * No deadline ends in a test until the test shortens it, and it is long again before a replacement starts: a slow
 * machine cannot make a healthy worker miss it.
 */
const LONG: Deadlines = {
  ...DEADLINES,
  loadMs: 3_600_000,
  evaluationMs: 3_600_000,
  idleMs: 3_600_000,
  checkIntervalMs: 20,
};
let deadlines: Deadlines;
beforeEach(() => {
  deadlines = { ...LONG };
});
const shorten = () => Object.assign(deadlines, { loadMs: 1, loadMsPerMegabyte: 0, evaluationMs: 1 });
const lengthen = () => Object.assign(deadlines, LONG);
const shortenEvaluations = () => Object.assign(deadlines, { evaluationMs: 1, evaluationFactor: 0 });

const ended: string[] = [];
const stopped = new Set<number>();
afterEach(() => {
  for (const file of [FAULT, `${FAULT}.loading`]) rmSync(file, { force: true });
  ended.length = 0;
  for (const pid of stopped) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  stopped.clear();
});

function stop(pid: number) {
  stopped.add(pid);
  process.kill(pid, 'SIGSTOP');
}

async function startPool(options: Partial<PoolOptions> = {}) {
  const onRestart = (reason: string, cause: string) => {
    lengthen();
    rmSync(FAULT, { force: true });
    ended.push(`${cause}: ${reason}`);
  };
  const entry = new URL('./failing-worker.ts', import.meta.url);
  const pool = await WorkerPool.start({
    spec,
    workers: 1,
    restartDelayMs: 10,
    entry,
    deadlines,
    onRestart,
    ...options,
  });
  onTestFinished(() => pool.close());
  return pool;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test.each([
  ['a stopped worker', (pid: number) => stop(pid)],
  ['a worker whose evaluation never ends', () => writeFileSync(FAULT, 'never answers')],
])('%s is killed, the pool has no live worker meanwhile, and its row is evaluated by the next', async (_, hang) => {
  const pool = await startPool();
  const alive: number[] = [];
  pool.onAliveChange = () => alive.push(pool.alive);
  const [pid] = pool.pids;
  hang(pid);
  const evaluated = pool.evaluate(row);
  shortenEvaluations();
  expect(await evaluated).toEqual(expected);
  expect(ended).toEqual(['hung: did not answer within 1 s and was killed']);
  expect(alive).toEqual([0, 1]);
  expect(isAlive(pid)).toBe(false);
});

test('a worker that is late is alive, but does not count as responsive', async () => {
  const pool = await startPool();
  const [pid] = pool.pids;
  stop(pid);
  const evaluated = pool.evaluate(row);
  await new Promise((resolve) => setTimeout(resolve, 3 * LONG.checkIntervalMs));
  expect(pool.responsive).toBe(1);
  Object.assign(deadlines, { evaluationMs: 4_000, evaluationFactor: 0 });
  await expect
    .poll(() => ({ alive: pool.alive, responsive: pool.responsive }))
    .toEqual({ alive: 1, responsive: 0 });
  shortenEvaluations();
  expect(await evaluated).toEqual(expected);
  expect(pool.responsive).toBe(1);
});

test('an idle worker that is stopped is noticed without a request', async () => {
  const pool = await startPool();
  const [pid] = pool.pids;
  stop(pid);
  Object.assign(deadlines, { idleMs: 1, evaluationMs: 1, evaluationFactor: 0 });
  await expect.poll(() => ended).toEqual(['hung: did not answer within 1 s and was killed']);
  await expect.poll(() => pool.alive).toBe(1);
  expect(isAlive(pid)).toBe(false);
});

test('when all workers hang at once, every row is evaluated by the replacements', async () => {
  let lost = 0;
  const onRestart = () => void (++lost === 2 && lengthen());
  const pool = await startPool({ workers: 2, onRestart });
  for (const pid of pool.pids) stop(pid);
  const evaluated = [pool.evaluate(row), pool.evaluate(row)];
  shortenEvaluations();
  for (const prediction of await Promise.all(evaluated)) expect(prediction).toEqual(expected);
  expect(lost).toBe(2);
});

test('a load that hangs is an error, and nothing is left behind', async () => {
  const starting = startPool({ spec: { ...spec, folder: '/models/8' } });
  const started = expect(starting).rejects.toThrow('did not finish loading within 1 s and was killed');
  await expect.poll(() => existsSync(`${FAULT}.loading`)).toBe(true);
  const pid = Number(readFileSync(`${FAULT}.loading`, 'utf8'));
  shorten();
  await started;
  expect(isAlive(pid)).toBe(false);
});

test('closing a pool whose worker is stopped leaves no process behind', async () => {
  const pool = await startPool();
  const [pid] = pool.pids;
  stop(pid);
  Object.assign(deadlines, { exitGraceMs: 1 });
  await pool.close();
  expect(isAlive(pid)).toBe(false);
});

/** A process that has a worker, and the worker's process id. */
async function startParent() {
  const parent = fork(new URL('./abandoning-parent.ts', import.meta.url), { execArgv: ['--import', 'tsx'] });
  onTestFinished(() => void parent.kill('SIGKILL'));
  const [pid] = (await once(parent, 'message')) as [number];
  onTestFinished(() => void (isAlive(pid) && process.kill(pid, 'SIGKILL')));
  return { parent, pid };
}

test('a process that exits without closing its pool leaves no worker behind, not even a stopped one', async () => {
  const { parent, pid } = await startParent();
  stop(pid);
  parent.send('exit');
  await once(parent, 'exit');
  await expect.poll(() => isAlive(pid)).toBe(false);
});

test('a worker exits by itself when the process that started it is killed', async () => {
  const { parent, pid } = await startParent();
  parent.kill('SIGKILL');
  await expect.poll(() => isAlive(pid)).toBe(false);
});

test('a version whose load hangs is refused, and a later one takes over', async () => {
  const models = await ModelDir.create();
  onTestFinished(() => models.remove());
  await models.add('1');
  const reloads: string[] = [];
  const registry = await FolderRegistry.open({
    modelDir: models.root,
    engine: {
      engine: 'onnx',
      device: 'cpu',
      workers: { deadlines, entry: new URL('./failing-worker.ts', import.meta.url) },
    },
    queue: { limit: 4 },
    hooks: {
      onReload: (ref, result) => {
        lengthen();
        reloads.push(`${ref.split('@')[1]} ${result}`);
      },
    },
  });
  onTestFinished(() => registry.close());
  await registry.start();
  await models.add('8');
  const reloading = registry.reload();
  await expect.poll(() => existsSync(`${FAULT}.loading`)).toBe(true);
  await models.add('9');
  const later = registry.reload();
  shorten();
  await reloading;
  await later;
  expect(reloads).toEqual(['8 loaded', '8 refused', '9 loaded']);
  expect(registry.get().ref).toBe(`${models.id}@9`);
  expect(registry.ready).toBe(true);
});

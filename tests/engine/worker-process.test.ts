import { fork } from 'node:child_process';
import { EventEmitter } from 'node:events';
import os from 'node:os';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DEADLINES } from '../../src/engine/deadlines.ts';
import type { Batch } from '../../src/engine/engine.ts';
import type { NetworkSpec } from '../../src/engine/network.ts';
import type { FromWorker, ToWorker } from '../../src/engine/protocol.ts';
import { WorkerLostError, WorkerProcess } from '../../src/engine/worker-process.ts';

vi.mock('node:child_process', () => ({ fork: vi.fn() }));

/** The parent's view of a process: what it was sent, and what the test lets it answer. */
class FakeChild extends EventEmitter {
  pid = 2 ** 30;
  connected = true;
  stderr = new EventEmitter();
  sent: ToWorker[] = [];
  signals: string[] = [];
  /** Whether SIGKILL ends it: not while a driver holds it. */
  dies = true;

  send(message: ToWorker) {
    this.sent.push(message);
  }

  kill(signal: string) {
    this.signals.push(signal);
    if (this.dies) this.emit('exit', null, signal);
  }

  disconnect() {
    this.connected = false;
  }

  answer(message: FromWorker) {
    this.emit('message', message);
  }
}

let child: FakeChild;
let lost: WorkerLostError[];
let worker: WorkerProcess;

const specOf = (bytes: number, device = 'cpu') =>
  ({ folder: '/nowhere', device, networks: { base: { bytes } } }) as NetworkSpec;
const spec = specOf(1e6);
const batch: Batch = { network: 'base', rows: 1, x: new Float32Array(1), t: new Float32Array(1) };
const prediction = new Float32Array(1);
const { loadMs, evaluationMs, evaluationFactor, idleMs, checkIntervalMs, exitGraceMs, killGraceMs } =
  DEADLINES;

beforeEach(() => {
  vi.useFakeTimers();
  child = new FakeChild();
  vi.mocked(fork).mockReturnValue(child as unknown as ReturnType<typeof fork>);
  lost = [];
  worker = new WorkerProcess({ spec, deadlines: DEADLINES, onLost: (loss) => lost.push(loss) });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

async function load(rowSeconds = 0.1) {
  child.answer({
    type: 'loaded',
    deviceName: 'a CPU',
    precision: 'fp32',
    networks: ['base', 'refiner'],
    bestBatch: 1,
    rssBytes: 1e8,
    rowSeconds: { base: rowSeconds, refiner: rowSeconds / 5 },
  });
  await worker.loaded;
}

/** The outcome of an evaluation, as it comes. */
function evaluate() {
  const outcome: { error?: string; done?: boolean } = {};
  worker.evaluate(batch, false).then(
    () => {
      outcome.done = true;
    },
    ({ message }) => {
      outcome.error = message;
    },
  );
  return outcome;
}

test('a load that is not finished by its deadline is killed', async () => {
  await pass(loadMs - checkIntervalMs);
  expect(child.signals).toEqual([]);
  await pass(checkIntervalMs);
  expect(child.signals).toEqual(['SIGKILL']);
  await expect(worker.loaded).rejects.toThrow(
    'the worker did not finish loading within 120 s and was killed',
  );
  expect(lost.map(({ lossCause }) => lossCause)).toEqual(['hung']);
});

test('an evaluation that is not answered by its deadline fails, and the worker is killed', async () => {
  await load();
  const outcome = evaluate();
  await pass(evaluationMs / 2);
  expect(worker.isLate).toBe(false);
  await pass(checkIntervalMs);
  expect(worker.isLate).toBe(true);
  expect(child.signals).toEqual([]);
  await pass(evaluationMs / 2);
  expect(child.signals).toEqual(['SIGKILL']);
  expect(outcome.error).toBe('the worker did not answer within 15 s and was killed');
  expect(lost.map(({ lossCause }) => lossCause)).toEqual(['hung']);
});

test('a worker that was slow lately has more time', async () => {
  const rowSeconds = 5;
  await load(rowSeconds);
  evaluate();
  const deadlineMs = 1000 * rowSeconds * evaluationFactor;
  await pass(deadlineMs - checkIntervalMs);
  expect(child.signals).toEqual([]);
  await pass(2 * checkIntervalMs);
  expect(child.signals).toEqual(['SIGKILL']);
});

test('each network has a deadline of its own', async () => {
  await load(5);
  const base = worker.evaluate(batch, false);
  child.answer({ type: 'result', id: 0, prediction, seconds: 100 });
  await base;
  void worker.evaluate({ ...batch, network: 'refiner', rows: 2 }, false).catch(() => {});
  const deadlineMs = 1000 * 2 * evaluationFactor; // 1 s a row, from `load`
  await pass(deadlineMs - checkIntervalMs);
  expect(child.signals).toEqual([]);
  await pass(2 * checkIntervalMs);
  expect(child.signals).toEqual(['SIGKILL']);
});

test('every answer starts the time of the others again', async () => {
  await load();
  const outcomes = [evaluate(), evaluate()];
  await pass(evaluationMs - checkIntervalMs);
  child.answer({ type: 'result', id: 0, prediction, seconds: 0.1 });
  await pass(evaluationMs - checkIntervalMs);
  expect(child.signals).toEqual([]);
  child.answer({ type: 'result', id: 1, prediction, seconds: 0.1 });
  await pass(0);
  expect(outcomes).toEqual([{ done: true }, { done: true }]);
});

test('time in which this process was stopped does not count', async () => {
  await load();
  const outcome = evaluate();
  await pass(checkIntervalMs);
  const now = performance.now();
  vi.spyOn(performance, 'now').mockReturnValue(now + 3_600_000); // an hour later, and no timer has run
  vi.advanceTimersToNextTimer();
  expect(child.signals).toEqual([]);
  child.answer({ type: 'result', id: 0, prediction, seconds: 0.1 });
  await pass(0);
  expect(outcome).toEqual({ done: true });
});

test('an idle worker is asked whether it answers, again and again', async () => {
  await load();
  for (let asked = 1; asked <= 10; asked++) {
    await pass(idleMs + checkIntervalMs);
    expect(child.sent.filter(({ type }) => type === 'ping')).toHaveLength(asked);
    child.answer({ type: 'pong' });
  }
  expect(child.signals).toEqual([]);
});

test('an idle worker that does not answer is killed', async () => {
  await load();
  await pass(idleMs + evaluationMs + 2 * checkIntervalMs);
  expect(lost.map(({ how }) => how)).toEqual(['did not answer within 15 s and was killed']);
});

test('a process that not even SIGKILL ends is given up', async () => {
  await load();
  child.dies = false;
  const outcome = evaluate();
  await pass(evaluationMs + checkIntervalMs);
  expect(outcome).toEqual({});
  await pass(killGraceMs);
  expect(outcome.error).toBe('the worker did not answer within 15 s and was killed');
  expect(lost).toHaveLength(1);
});

test('a process that cannot be started is lost at once, and says why', async () => {
  Object.assign(child, { pid: undefined, connected: false });
  child.dies = false;
  child.emit('error', new Error('spawn /nowhere/node ENOENT'));
  await expect(worker.loaded).rejects.toThrow('the worker could not be started: spawn /nowhere/node ENOENT');
  await worker.close();
  expect(lost).toHaveLength(1);

  vi.mocked(fork).mockImplementationOnce(() => {
    throw new Error('spawn ENOMEM'); // Node throws some of these errors
  });
  const start = () => new WorkerProcess({ spec, deadlines: DEADLINES, onLost() {} });
  expect(start).toThrow(new WorkerLostError('could not be started: spawn ENOMEM', 'exited'));
});

test('a worker that is lost takes no more evaluations', async () => {
  await load();
  child.dies = false;
  evaluate();
  await pass(evaluationMs + checkIntervalMs);
  await expect(worker.evaluate(batch, false)).rejects.toThrow('did not answer within 15 s');
});

test('closing: it may exit by itself; after a grace it is killed', async () => {
  await load();
  let closed = false;
  void worker.close().then(() => {
    closed = true;
  });
  expect(child.connected).toBe(false);
  await pass(exitGraceMs - 1);
  expect({ closed, signals: child.signals }).toEqual({ closed: false, signals: [] });
  await pass(1);
  expect({ closed, signals: child.signals }).toEqual({ closed: true, signals: ['SIGKILL'] });
});

test('closing: one that exits in time is not killed', async () => {
  await load();
  const closing = worker.close();
  child.emit('exit', 0, null);
  await closing;
  await pass(exitGraceMs);
  expect(child.signals).toEqual([]);
});

test.each([
  ['a large network', specOf(65e6), 1],
  ['a small network', specOf(63e6), 0],
  ['a large network on a GPU', specOf(65e6, 'cuda'), 0],
])('whether the worker has a lower priority: %s', async (_, spec, calls) => {
  const setPriority = vi.spyOn(os, 'setPriority').mockImplementation(() => {
    throw new Error('no such process'); // which must not matter
  });
  new WorkerProcess({ spec, deadlines: DEADLINES, onLost: () => {} });
  expect(setPriority).toHaveBeenCalledTimes(calls);
  if (calls > 0) expect(setPriority).toHaveBeenCalledWith(child.pid, 5);
});

import { expect, onTestFinished, test } from 'vitest';
import { forEachInSlices, SLICE_MS } from '../../src/scheduler/time-slices.ts';
import { Probe, type SimulatedEngine, settle, simulate } from './simulation.ts';

/** Counts turns of the event loop until the test ends. */
function countTurns() {
  const turns = { count: 0 };
  const tick = () => {
    turns.count++;
    next = setImmediate(tick);
  };
  let next = setImmediate(tick);
  onTestFinished(() => clearImmediate(next));
  return turns;
}

/** How many calls happened in each turn of the event loop that had any, in order. */
function callsPerTurn(turns: number[]): number[] {
  return [...new Set(turns)].map((turn) => turns.filter((other) => other === turn).length);
}

test('long work lets the event loop run between two items, in order and each once', async () => {
  const turns = countTurns();
  const seen: { item: string; index: number }[] = [];
  const seenIn: number[] = [];
  let nowMs = 0;
  await forEachInSlices(
    ['a', 'b', 'c', 'd', 'e'],
    () => nowMs,
    (item, index) => {
      seen.push({ item, index });
      seenIn.push(turns.count);
      nowMs += 0.7 * SLICE_MS;
    },
  );
  expect(seen.map(({ item }) => item).join('')).toBe('abcde');
  expect(seen.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
  expect(callsPerTurn(seenIn)).toEqual([2, 2, 1]);
});

test('short work takes no break', async () => {
  const turns = countTurns();
  const seenIn: number[] = [];
  let nowMs = 0;
  await forEachInSlices(
    Array.from({ length: 50 }, (_, i) => i),
    () => nowMs,
    () => {
      seenIn.push(turns.count);
      nowMs += SLICE_MS / 100;
    },
  );
  expect(callsPerTurn(seenIn)).toEqual([50]);
});

/** An image whose input and step take two slices each of the scheduler's clock. */
class SlowProbe extends Probe {
  readonly #engine: SimulatedEngine;
  readonly #onWork: () => void;

  constructor(id: number, of: number, engine: SimulatedEngine, onWork: () => void) {
    super(id, of);
    this.#engine = engine;
    this.#onWork = onWork;
  }

  override input() {
    this.#work();
    return super.input();
  }

  override advance(prediction: Float32Array) {
    this.#work();
    super.advance(prediction);
  }

  #work() {
    this.#onWork();
    this.#engine.nowMs += 2 * SLICE_MS;
  }
}

/** Runs the engine until `done` is settled: with slow rows it is idle from time to time. */
async function runUntil(engine: SimulatedEngine, done: Promise<unknown>) {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  done.then(settle, settle);
  while (!settled) await engine.run();
}

test('the scheduler takes a break between the slow rows of a batch', async () => {
  const { engine, scheduler, sizes } = simulate({ bestBatch: 4 });
  const turns = countTurns();
  const workedIn: number[] = [];
  const probes = [1, 2, 3, 4].map((id) => new SlowProbe(id, 3, engine, () => workedIn.push(turns.count)));
  const done = scheduler.run(probes);
  await runUntil(engine, done);
  await done;
  expect(sizes).toEqual([4, 4, 4]);
  for (const { id, seen } of probes) expect(seen).toEqual([0, 1, 2].map((step) => 1000 * id + step));
  // Of each batch the last row's step and the next batch's first input may share a turn.
  expect(Math.max(...callsPerTurn(workedIn))).toBeLessThanOrEqual(2);
});

test('a worker that dies while a batch is assembled: the rows wait for its replacement', async () => {
  const { engine, scheduler } = simulate({ bestBatch: 4 });
  const probes = [1, 2, 3, 4].map(
    (id) =>
      new SlowProbe(id, 1, engine, () => {
        if (id === 1 && engine.alive === 1 && engine.batches.length === 0 && !died) die();
      }),
  );
  let died = false;
  const die = () => {
    died = true;
    engine.alive = 0;
    engine.onAliveChange?.();
  };
  const done = scheduler.run(probes);
  for (let turn = 0; turn < 20; turn++) await settle();
  expect(died).toBe(true);
  expect(engine.batches).toEqual([]);
  engine.alive = 1;
  engine.onAliveChange?.();
  await runUntil(engine, done);
  await expect(done).resolves.toBeUndefined();
  expect(probes.map(({ step }) => step)).toEqual([1, 1, 1, 1]);
});

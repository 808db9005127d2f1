import { describe, expect, test } from 'vitest';
import type { NetworkName } from '../../src/engine/engine.ts';
import type { Trajectory } from '../../src/scheduler/trajectory.ts';
import { answer, settle, simulate } from './simulation.ts';

const BATCH_MS = 10;

/** Steps of `rows` rows; records which row of which step saw which result. */
class Windows implements Trajectory {
  readonly total: number;
  step = 0;
  readonly rows: number;
  readonly network: NetworkName;
  /** The x of its first row; the others follow. */
  readonly first: number;
  readonly seen: [row: number, result: number][] = [];

  constructor(rows: number, steps: number, network: NetworkName = 'base', first = 0) {
    this.rows = rows;
    this.total = rows * steps;
    this.network = network;
    this.first = first;
  }

  input(row: number) {
    return { x: Float32Array.of(this.first + row), t: Math.floor(this.step / this.rows) };
  }

  advance([result]: Float32Array, row: number) {
    this.seen.push([row, result]);
    this.step++;
  }
}

describe('images of several rows a step', () => {
  test('every row of a step is evaluated once, and a step begins when the one before it is complete', async () => {
    const { engine, scheduler } = simulate({ workers: 2 });
    const windows = new Windows(5, 3);
    const steps: number[] = [];
    const running = scheduler.run([windows], { onStep: (step, total) => steps.push(step / total) });
    await engine.run();
    await running;
    for (let step = 0; step < 3; step++) {
      const seen = windows.seen.slice(5 * step, 5 * step + 5).sort(([a], [b]) => a - b);
      expect(seen).toEqual([0, 1, 2, 3, 4].map((row) => [row, answer(row, step)]));
    }
    expect(steps).toEqual(Array.from({ length: 15 }, (_, i) => (i + 1) / 15));
    expect(engine.nowMs).toBe(3 * 3 * BATCH_MS); // five rows take three turns of two workers
    expect(scheduler.admission.idle).toBe(true);
  });

  test('they count as one image', async () => {
    const { engine, scheduler } = simulate({ workers: 2 });
    const running = scheduler.run([new Windows(5, 3)]);
    await engine.run(15);
    expect(scheduler.depth).toEqual({ waiting: 0, active: 1 });
    await engine.run();
    await running;
  });

  test('a batch holds rows of one network', async () => {
    const { engine, scheduler } = simulate({ bestBatch: 8 });
    const all = [new Windows(3, 2), new Windows(4, 2, 'refiner', 100), new Windows(2, 2, 'base', 10)];
    const running = all.map((each) => scheduler.run([each]));
    await engine.run();
    await Promise.all(running);
    for (const { seen, rows, first } of all) {
      const expected = [0, 1].flatMap((t) =>
        Array.from({ length: rows }, (_, row) => [row, answer(first + row, t)]),
      );
      expect(seen.toSorted(([, a], [, b]) => (a % 1000) - (b % 1000) || a - b)).toEqual(expected);
    }
    const networkOf = (x: number) => (x >= 100 ? 'refiner' : 'base');
    for (const [i, batch] of engine.batches.entries())
      expect(new Set(batch.map(networkOf))).toEqual(new Set([engine.networks[i]]));
    expect(Math.max(...engine.batches.map(({ length }) => length))).toBe(5); // of two images
  });

  test('a request that is cancelled in the middle of a step leaves nothing behind', async () => {
    const { engine, scheduler } = simulate({ workers: 1 });
    const controller = new AbortController();
    const windows = new Windows(4, 2);
    const running = scheduler.run([windows], {
      signal: controller.signal,
      onStep: (step) => step === 4 && controller.abort(new Error('gone')),
    });
    running.catch(() => {});
    await engine.run();
    await expect(running).rejects.toThrow('gone');
    expect(windows.seen).toHaveLength(4);
    expect(scheduler.admission.idle).toBe(true);
    expect(scheduler.depth).toEqual({ waiting: 0, active: 0 });
  });

  test('rows whose workers died before they were evaluated are evaluated by the replacement', async () => {
    const { engine, scheduler } = simulate({ workers: 1 });
    const windows = new Windows(3, 1);
    const running = scheduler.run([windows]);
    engine.alive = 0; // after the rows were taken, before the engine is called
    await settle();
    expect(windows.seen).toEqual([]);
    engine.alive = 1;
    engine.onAliveChange?.();
    await engine.run();
    await running;
    expect(windows.seen.map(([row]) => row).sort()).toEqual([0, 1, 2]);
  });
});

describe('an evaluation is exclusive', () => {
  test('where nothing else runs or waits', async () => {
    const { engine, submit } = simulate();
    submit(3);
    await engine.run();
    expect(engine.exclusive).toEqual([true, true, true]);
  });

  test('not where another request waits', async () => {
    const { engine, submit } = simulate();
    submit(1); // evaluated at once, before the others come
    submit(1);
    submit(2);
    await engine.run();
    expect(engine.exclusive).toEqual([true, false, true, true]);
  });

  test('not where another image of the same request waits', async () => {
    const { engine, submit } = simulate();
    submit(1, { images: 3 });
    await engine.run();
    expect(engine.exclusive).toEqual([false, false, true]);
  });

  test.each([
    [1, [false, true]],
    [2, [false, false]],
  ])('not while two rows of the image are left: workers %i', async (workers, expected) => {
    const { engine, scheduler } = simulate({ workers });
    const running = scheduler.run([new Windows(2, 2)]);
    await engine.run();
    await running;
    expect(engine.exclusive).toEqual([...expected, ...expected]);
  });
});

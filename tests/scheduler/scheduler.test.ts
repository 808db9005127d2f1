import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NotFiniteError } from '../../src/engine/finite.ts';
import { answer, EngineError, Probe, QueueFullError, settle, simulate } from './simulation.ts';

const BATCH_MS = 10;

describe('batches', () => {
  test('are shared by requests of different lengths, and every row gets its own result', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({ steps: fc.integer({ min: 1, max: 9 }), images: fc.integer({ min: 1, max: 3 }) }),
          {
            minLength: 1,
            maxLength: 12,
          },
        ),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 8 }),
        async (jobs, workers, bestBatch) => {
          const { engine, sizes, submit } = simulate({ workers, bestBatch });
          const requests = jobs.map(({ steps, images }) => submit(steps, { images }));
          await engine.run();
          for (const { probes, error } of requests) {
            expect(error).toBeUndefined();
            for (const { id, total, seen } of probes) {
              expect(seen).toEqual(Array.from({ length: total }, (_, t) => answer(id, t)));
            }
          }
          expect(Math.max(...sizes)).toBeLessThanOrEqual(bestBatch);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('a new request joins at the next step, without waiting for running requests to end', async () => {
    const { engine, submit } = simulate({ bestBatch: 4 });
    submit(50);
    await engine.run(100);
    const late = submit(5);
    await engine.run(100 + 7 * BATCH_MS);
    expect(late.endedMs).toBeLessThanOrEqual(100 + 7 * BATCH_MS);
  });

  test('are full as long as there is enough work', async () => {
    const { engine, sizes, submit } = simulate({ bestBatch: 4 });
    for (let i = 0; i < 16; i++) submit(10);
    await engine.run();
    // The first batch starts with the only row available at that moment.
    expect(sizes.filter((rows) => rows === 4).length).toBeGreaterThanOrEqual(39);
    expect(engine.nowMs).toBeLessThanOrEqual(41 * BATCH_MS);
  });
});

describe('rows that all fit in one batch', () => {
  test('are split in halves that alternate, so that a GPU evaluates one while the other advances', async () => {
    const { engine, sizes, submit } = simulate({ bestBatch: 64 });
    submit(10, { images: 40 });
    await engine.run();
    expect(sizes).toEqual(new Array(20).fill(20));
  });

  test('are evaluated together if they are few', async () => {
    const { engine, sizes, submit } = simulate({ bestBatch: 64 });
    submit(10, { images: 12 });
    await engine.run();
    expect(sizes.slice(2)).toEqual(new Array(sizes.length - 2).fill(12));
  });

  test('stay in halves when requests end and new ones come', async () => {
    const { engine, sizes, submit } = simulate({ bestBatch: 64 });
    submit(4, { images: 20 });
    submit(30, { images: 40 });
    await engine.run(100);
    submit(30, { images: 20 });
    await engine.run(engine.nowMs + 20);
    sizes.length = 0;
    await engine.run(engine.nowMs + 100);
    expect(Math.min(...sizes)).toBeGreaterThanOrEqual(28);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(32);
  });
});

describe('policy', () => {
  test('equal requests are served first come, first served', async () => {
    const { engine, submit } = simulate();
    const requests = [];
    for (let i = 0; i < 5; i++) {
      requests.push(submit(20));
      await engine.run(engine.nowMs + 1);
    }
    await engine.run();
    const ends = requests.map(({ endedMs }) => endedMs);
    expect(ends).toEqual([...ends].sort((a, b) => a - b));
    expect(ends[0]).toBeLessThanOrEqual(22 * BATCH_MS);
  });

  test('a short request behind eight long ones takes a small multiple of its own time', async () => {
    const { engine, submit } = simulate({ workers: 2 });
    const long = Array.from({ length: 8 }, () => submit(200));
    await engine.run(1500);
    const short = submit(5);
    await engine.run();
    const own = 5 * BATCH_MS;
    expect(short.endedMs - short.arrivedMs).toBeLessThan(6 * own);
    expect(Math.min(...long.map(({ endedMs }) => endedMs))).toBeGreaterThan(short.endedMs);
  });

  test('a long request does not starve under an endless stream of short ones', async () => {
    const { engine, submit } = simulate();
    const long = submit(100);
    // A short request of two steps every 25 ms uses 80 % of the engine.
    while (Number.isNaN(long.endedMs) && engine.nowMs < 20_000) {
      submit(2);
      await engine.run(engine.nowMs + 25);
    }
    // With the remaining 20 % of the engine, 100 steps take 5,000 ms.
    expect(long.endedMs).toBeLessThan(7000);
  });

  test('higher priority is faster, and low priority does not starve', async () => {
    const { engine, submit } = simulate();
    const low = submit(10, { priority: 'low' });
    const normal = submit(10);
    const high = submit(10, { priority: 'high' });
    await engine.run();
    expect(high.endedMs).toBeLessThan(normal.endedMs);
    expect(normal.endedMs).toBeLessThan(low.endedMs);
    expect(low.error).toBeUndefined();
  });
});

describe('limits, cancellation and failures', () => {
  test('refuses a request that does not fit, with a retry time, and accepts it when there is room', async () => {
    const { engine, scheduler, submit } = simulate({ limit: 4 });
    submit(10, { images: 3 });
    const refused = submit(10, { images: 2 });
    await settle();
    expect(refused.error).toBeInstanceOf(QueueFullError);
    expect((refused.error as QueueFullError).retryAfterS).toBeGreaterThanOrEqual(1);
    expect(submit(10).error).toBeUndefined();
    await engine.run();
    expect(scheduler.depth).toEqual({ waiting: 0, active: 0 });
    const again = submit(10, { images: 4 });
    await engine.run();
    expect(again.error).toBeUndefined();
  });

  test('a reservation occupies its places, is used by run(), and is released only once', async () => {
    const { engine, scheduler, submit } = simulate({ limit: 4 });
    const reservation = scheduler.admission.reserve(3);
    expect(() => scheduler.admission.reserve(2)).toThrow(QueueFullError);
    const request = submit(5, { images: 3, reservation });
    await settle();
    expect(scheduler.depth.waiting + scheduler.depth.active).toBe(3);
    expect(() => scheduler.admission.reserve(2)).toThrow(QueueFullError);
    scheduler.admission.reserve(1).release();
    await engine.run();
    expect(request.error).toBeUndefined();
    reservation.release(); // no effect: run() has released every place already
    scheduler.admission.reserve(4);
    expect(() => scheduler.admission.reserve(1)).toThrow(QueueFullError);
  });

  test('whenRoom() serves waiters in order and before later requests, and a waiter can abort', async () => {
    const { engine, scheduler, submit } = simulate({ limit: 4 });
    const signal = new AbortController().signal;
    const first = submit(5, { images: 3 });
    const order: string[] = [];
    const big = scheduler.admission.whenRoom(4, signal).then((reservation) => {
      order.push('big');
      return reservation;
    });
    const leaving = new AbortController();
    const gone = scheduler.admission.whenRoom(1, leaving.signal).catch((error) => error.message);
    const small = scheduler.admission.whenRoom(1, signal).then((reservation) => {
      order.push('small');
      return reservation;
    });
    expect(() => scheduler.admission.reserve(1)).toThrow(QueueFullError); // there is room for one, but others have waited longer
    leaving.abort(new Error('left'));
    expect(await gone).toBe('left');
    await engine.run();
    expect(first.error).toBeUndefined();
    const request = submit(5, { images: 4, reservation: await big }); // its reservation is valid although others wait
    await settle();
    expect(order).toEqual(['big']);
    await engine.run();
    expect(request.error).toBeUndefined();
    (await small).release();
    await settle();
    expect(order).toEqual(['big', 'small']);
    expect(() => scheduler.admission.reserve(4)).not.toThrow();
  });

  test('a cancelled request leaves at the next step, and the others continue', async () => {
    const { engine, scheduler, submit } = simulate({ bestBatch: 4 });
    const controller = new AbortController();
    const gone = submit(100, { images: 2, signal: controller.signal });
    const stays = submit(20);
    await engine.run(55);
    const done = gone.probes[0].step;
    controller.abort(new Error('client went away'));
    await settle();
    expect(gone.error).toEqual(new Error('client went away'));
    expect(scheduler.depth).toEqual({ waiting: 0, active: 1 });
    await engine.run();
    expect(gone.probes[0].step).toBe(done);
    expect(stays.error).toBeUndefined();
    expect(stays.probes[0].seen).toHaveLength(20);
  });

  test('a signal that is already aborted is refused before any evaluation', async () => {
    const { engine, submit } = simulate();
    const { error } = await (async () => {
      const request = submit(5, { signal: AbortSignal.abort(new Error('too late')) });
      await engine.run();
      return request;
    })();
    expect(error).toEqual(new Error('too late'));
    expect(engine.batches).toHaveLength(0);
  });

  test('a failed evaluation fails only the requests in that batch', async () => {
    const { engine, scheduler, submit } = simulate({ bestBatch: 2 });
    const requests = [submit(10), submit(10), submit(10), submit(10)];
    engine.failNext = ({ x }) => x.includes(1);
    await engine.run();
    const failed = requests.filter(({ error }) => error instanceof EngineError);
    expect(failed.length).toBeGreaterThanOrEqual(1);
    expect(failed.length).toBeLessThanOrEqual(2);
    expect(failed).toContain(requests[0]);
    for (const { probes } of requests.filter(({ error }) => !error)) expect(probes[0].step).toBe(10);
    expect(scheduler.depth).toEqual({ waiting: 0, active: 0 });
  });

  test('an exception in a trajectory fails only its own request', async () => {
    const { engine, submit } = simulate({ bestBatch: 2 });
    const bad = submit(5, {
      onStep: () => {
        throw new Error('listener');
      },
    });
    const good = submit(5);
    await engine.run();
    expect(bad.error).toEqual(new Error('listener'));
    expect(good.error).toBeUndefined();
  });

  test('a prediction that is not finite fails only its own request', async () => {
    const { engine, scheduler, submit } = simulate({ bestBatch: 2 });
    const bad = new Probe(Number.POSITIVE_INFINITY, 3);
    const failed = expect(scheduler.run([bad])).rejects.toThrow(NotFiniteError);
    const good = submit(3);
    await engine.run();
    await failed;
    expect(bad.seen).toEqual([]);
    expect(good.error).toBeUndefined();
    expect(good.probes[0].step).toBe(3);
  });

  test('requests wait while no worker is alive, and run when one is back', async () => {
    const { engine, submit } = simulate();
    engine.alive = 0;
    const request = submit(3);
    await engine.run();
    expect(request.probes[0].step).toBe(0);
    engine.alive = 1;
    engine.onAliveChange?.();
    await engine.run();
    expect(request.probes[0].step).toBe(3);
  });

  test('requests fail if no worker is back after the outage limit', async () => {
    const { engine, scheduler, submit } = simulate({ outageMs: 5 });
    engine.alive = 0;
    const request = submit(3);
    engine.onAliveChange?.();
    await expect.poll(() => request.error).toBeInstanceOf(EngineError);
    expect(scheduler.depth).toEqual({ waiting: 0, active: 0 });
  });

  test('so do requests that come after it, each outage limit anew', async () => {
    const { engine, scheduler, submit } = simulate({ outageMs: 5 });
    engine.alive = 0;
    engine.onAliveChange?.();
    for (let i = 0; i < 2; i++) {
      const request = submit(3);
      await expect.poll(() => request.error).toBeInstanceOf(EngineError);
    }
    expect(scheduler.depth).toEqual({ waiting: 0, active: 0 });
    engine.alive = 1;
    engine.onAliveChange?.();
    const request = submit(3);
    await engine.run();
    expect(request.error).toBeUndefined();
    expect(request.probes[0].step).toBe(3);
  });

  test('progress is reported after each step', async () => {
    const { engine, submit } = simulate();
    const told: [number, number][] = [];
    submit(3, { images: 2, onStep: (step, of) => told.push([step, of]) });
    await engine.run();
    expect(told).toEqual([1, 2, 3, 4, 5, 6].map((step) => [step, 6]));
  });
});

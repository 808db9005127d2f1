import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { answer, EngineError, QueueFullError, settle, simulate } from './simulation.ts';

const BATCH_MS = 10;

describe('batches', () => {
  test('requests of different lengths share them, and every row gets its own answer', async () => {
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

  test('a newcomer joins at the next step, not after the request', async () => {
    const { engine, submit } = simulate({ bestBatch: 4 });
    submit(50);
    await engine.run(100);
    const late = submit(5);
    await engine.run(100 + 7 * BATCH_MS);
    expect(late.endedMs).toBeLessThanOrEqual(100 + 7 * BATCH_MS);
  });

  test('are full while there is work enough: nothing is lost to the policy', async () => {
    const { engine, sizes, submit } = simulate({ bestBatch: 4 });
    for (let i = 0; i < 16; i++) submit(10);
    await engine.run();
    // The very first starts with the one row that is there.
    expect(sizes.filter((rows) => rows === 4).length).toBeGreaterThanOrEqual(39);
    expect(engine.nowMs).toBeLessThanOrEqual(41 * BATCH_MS);
  });
});

describe('policy', () => {
  test('among equals, first come first served', async () => {
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

  test('a short one behind eight long ones is answered in a small multiple of its own time', async () => {
    const { engine, submit } = simulate({ workers: 2 });
    const long = Array.from({ length: 8 }, () => submit(200));
    await engine.run(1500);
    const short = submit(5);
    await engine.run();
    const own = 5 * BATCH_MS;
    expect(short.endedMs - short.arrivedMs).toBeLessThan(6 * own);
    expect(Math.min(...long.map(({ endedMs }) => endedMs))).toBeGreaterThan(short.endedMs);
  });

  test('nothing starves under an endless stream of short ones', async () => {
    const { engine, submit } = simulate();
    const long = submit(100);
    // One short request of two steps every 25 ms takes 80% of the engine.
    while (Number.isNaN(long.endedMs) && engine.nowMs < 20_000) {
      submit(2);
      await engine.run(engine.nowMs + 25);
    }
    // With a fifth of the engine left to it, a hundred steps take five thousand milliseconds.
    expect(long.endedMs).toBeLessThan(7000);
  });

  test('priority counts, and low still gets through', async () => {
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

describe('limits and ends', () => {
  test('refuses what does not fit, with a time to come back, and takes it when there is room', async () => {
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

  test('a reservation counts, covers the images of run(), and is released once', async () => {
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
    reservation.release(); // all of it was released image by image: nothing more is given back
    scheduler.admission.reserve(4);
    expect(() => scheduler.admission.reserve(1)).toThrow(QueueFullError);
  });

  test('who waits for room gets it in order, before whoever comes later, and may go', async () => {
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
    expect(() => scheduler.admission.reserve(1)).toThrow(QueueFullError); // there is room for one, but others were here before
    leaving.abort(new Error('left'));
    expect(await gone).toBe('left');
    await engine.run();
    expect(first.error).toBeUndefined();
    const request = submit(5, { images: 4, reservation: await big }); // with others waiting: its place is its own
    await settle();
    expect(order).toEqual(['big']);
    await engine.run();
    expect(request.error).toBeUndefined();
    (await small).release();
    await settle();
    expect(order).toEqual(['big', 'small']);
    expect(() => scheduler.admission.reserve(4)).not.toThrow();
  });

  test('a cancelled request leaves at the next step and its neighbours go on', async () => {
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

  test('an aborted signal is refused before anything is evaluated', async () => {
    const { engine, submit } = simulate();
    const { error } = await (async () => {
      const request = submit(5, { signal: AbortSignal.abort(new Error('too late')) });
      await engine.run();
      return request;
    })();
    expect(error).toEqual(new Error('too late'));
    expect(engine.batches).toHaveLength(0);
  });

  test('a failed evaluation fails the requests in it and no other', async () => {
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

  test('a request whose own code throws fails alone', async () => {
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

  test('without a worker alive nothing runs; with one back, everything does', async () => {
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

  test('without a worker for too long, requests fail instead of hanging', async () => {
    const { engine, scheduler, submit } = simulate({ outageMs: 5 });
    engine.alive = 0;
    const request = submit(3);
    engine.onAliveChange?.();
    await expect.poll(() => request.error).toBeInstanceOf(EngineError);
    expect(scheduler.depth).toEqual({ waiting: 0, active: 0 });
  });

  test('progress is told after each step', async () => {
    const { engine, submit } = simulate();
    const told: [number, number][] = [];
    submit(3, { images: 2, onStep: (step, of) => told.push([step, of]) });
    await engine.run();
    expect(told).toEqual([1, 2, 3, 4, 5, 6].map((step) => [step, 6]));
  });
});

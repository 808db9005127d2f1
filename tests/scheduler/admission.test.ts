import { describe, expect, test } from 'vitest';
import { Admission, QueueFullError, type QueueLimits } from '../../src/scheduler/admission.ts';
import { settle, simulate } from './simulation.ts';

const never = new AbortController().signal;

function admission(limits: QueueLimits) {
  const asked: [images: number, direct: boolean][] = [];
  const queue = new Admission(limits);
  queue.retryAfterS = (...question) => {
    asked.push(question);
    return 7;
  };
  /** Jobs in the order in which they were admitted. */
  const admitted: string[] = [];
  const job = async (name: string, images: number, signal = never) => {
    const reservation = await queue.whenRoom(images, signal);
    admitted.push(name);
    return reservation;
  };
  const fits = (images: number, owner?: string) => {
    try {
      queue.reserve(images, owner).release();
      return true;
    } catch (error) {
      expect(error).toBeInstanceOf(QueueFullError);
      return false;
    }
  };
  return { queue, asked, admitted, job, fits };
}

describe('jobs', () => {
  test('never take more than their part, however many wait', async () => {
    const { admitted, job, fits } = admission({ limit: 16, background: 8 });
    const first = await job('first', 8);
    void job('second', 8);
    void job('third', 1);
    await settle();
    expect(admitted).toEqual(['first']);
    expect([fits(8), fits(9)]).toEqual([true, false]);
    first.release(8);
    await settle();
    expect(admitted).toEqual(['first', 'second']);
    expect([fits(8), fits(9)]).toEqual([true, false]);
  });

  test('get room although requests come all the time', async () => {
    const { queue, admitted, job, fits } = admission({ limit: 16, background: 8 });
    const requests = Array.from({ length: 16 }, () => queue.reserve(1));
    void job('waiting', 4);
    await settle();
    expect(admitted).toEqual([]);
    for (const request of requests.slice(0, 3)) request.release();
    expect(fits(1)).toBe(false); // the room is kept for the job
    requests[3].release();
    await settle();
    expect(admitted).toEqual(['waiting']);
  });

  test('with more images than their part run alone', async () => {
    const { admitted, job } = admission({ limit: 16, background: 2 });
    const large = await job('large', 8);
    void job('small', 1);
    await settle();
    expect(admitted).toEqual(['large']);
    large.release();
    await settle();
    expect(admitted).toEqual(['large', 'small']);
  });
});

test('an owner that floods the queue leaves room for others', () => {
  const { queue, fits } = admission({ limit: 16, shared: true });
  const count = (owner: string) => {
    for (let images = 0; ; images++) {
      if (!fits(1, owner)) return images;
      queue.reserve(1, owner);
    }
  };
  expect(['a', 'b', 'c', 'd'].map(count)).toEqual([8, 4, 2, 1]);
  const alone = admission({ limit: 16 });
  alone.queue.reserve(16, 'a');
  expect(alone.fits(1, 'a')).toBe(false);
});

test('everything is idle again when all reservations are released, and a release counts once', async () => {
  const { queue, job } = admission({ limit: 16, background: 8, shared: true });
  const reservations = [queue.reserve(3, 'a'), queue.reserve(2), await job('job', 5)];
  expect(reservations.map(({ background }) => background)).toEqual([false, false, true]);
  expect(queue.idle).toBe(false);
  for (const reservation of reservations) {
    reservation.release(1);
    reservation.release();
    reservation.release();
  }
  expect(queue.idle).toBe(true);
  queue.reserve(16, 'a').release();
});

test('the time to wait is asked for the images that are missing', async () => {
  const { queue, asked, job, fits } = admission({ limit: 16, background: 8 });
  queue.reserve(12);
  expect(fits(8)).toBe(false);
  void job('running', 4);
  void job('waiting', 8);
  await settle();
  expect(fits(1)).toBe(false);
  expect(asked).toEqual([
    [4, false],
    [5, true], // 12 of requests, and 8 of jobs: those that leave are replaced by the one that waits
  ]);
});

describe('Retry-After', () => {
  test.each([
    ['one image', 1],
    ['as many images as a request may have', 8],
  ])('is about when %s would fit', async (_, images) => {
    const { engine, scheduler, submit } = simulate({ limit: 16, background: 8 });
    for (let i = 0; i < 300; i++) submit(1, { reservation: { images: 1, background: false, release() {} } });
    await engine.run(); // the pace is known now
    for (let i = 0; i < 8; i++) submit(1000);
    for (const job of [1, 2, 3]) {
      void scheduler.admission
        .whenRoom(4, never)
        .then((reservation) => submit(1000 * job, { images: 4, reservation }));
    }
    await engine.run(engine.nowMs + 200);
    const refused = submit(1, { images });
    await settle();
    const { retryAfterS } = refused.error as QueueFullError;
    const asked = engine.nowMs;
    for (;;) {
      await engine.run(engine.nowMs + 1000);
      const again = submit(1, { images });
      await settle();
      if (!again.error) break;
    }
    const actualS = (engine.nowMs - asked) / 1000;
    expect(retryAfterS).toBeGreaterThan(actualS / 3);
    expect(retryAfterS).toBeLessThan(actualS * 3);
  });
});

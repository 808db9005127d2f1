import { setImmediate as turn } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { MemoryFullError, PictureBudget } from '../../src/image/budget.ts';

/** A budget of which requests may hold 300 bytes. */
function budget() {
  const free = vi.fn();
  return { memory: new PictureBudget(400, free), free };
}
const aborted = () => new AbortController().signal;

test('reserves until requests hold three quarters of the budget', () => {
  const { memory } = budget();
  expect(memory.holdable).toBe(300);
  memory.reserve(200);
  expect(() => memory.reserve(101)).toThrow(MemoryFullError);
  memory.reserve(100);
  expect(memory.held).toBe(300);
});

test('a room is released once, however often it is called', () => {
  const { memory } = budget();
  const [first, second] = [memory.reserve(100), memory.reserve(150)];
  first.release();
  first.release();
  expect(memory.held).toBe(150);
  second.release();
  expect(memory.held).toBe(0);
});

test('a room shrinks, and grows only into memory that is there', () => {
  const { memory } = budget();
  const room = memory.reserve(200);
  expect(room.resize(50)).toBe(true);
  expect(memory.held).toBe(50);
  memory.reserve(200);
  expect(room.resize(101)).toBe(false);
  expect(room.bytes).toBe(50);
  expect(room.resize(100)).toBe(true);
  room.release();
  expect(memory.held).toBe(200);
});

test('dropped pictures count until they are freed, which happens when their memory is needed', async () => {
  const { memory, free } = budget();
  memory.reserve(40).release(); // less than an eighth of the budget
  await turn();
  expect(free).not.toHaveBeenCalled();
  memory.reserve(300);
  expect(free).toHaveBeenCalledOnce();
});

test('many dropped pictures are freed although nobody needs their memory', async () => {
  const { memory, free } = budget();
  memory.reserve(60).release();
  expect(free).not.toHaveBeenCalled(); // their owner may still refer to them
  await turn();
  expect(free).toHaveBeenCalledOnce();
});

test('a refused request is told when there will be room, from how long memory is held', () => {
  const now = vi.spyOn(performance, 'now').mockReturnValue(0);
  const { memory } = budget();
  for (let i = 0; i < 100; i++) {
    const room = memory.reserve(10);
    now.mockReturnValue(performance.now() + 60_000);
    room.release();
  }
  memory.reserve(300);
  const refused = (bytes: number) => {
    try {
      memory.reserve(bytes);
    } catch (error) {
      return (error as MemoryFullError).retryAfterS;
    }
  };
  expect(refused(300)).toBe(60);
  expect(refused(100)).toBe(20);
  now.mockRestore();
});

test('waiters are served in order as memory is released; those who leave are skipped', async () => {
  const { memory } = budget();
  const held = memory.reserve(300);
  const order: string[] = [];
  const leaving = new AbortController();
  const left = memory.whenRoom(300, leaving.signal).catch((error) => order.push(error.message));
  const first = memory.whenRoom(200, aborted()).then((room) => {
    order.push('first');
    return room;
  });
  void memory.whenRoom(200, aborted()).then(() => order.push('second'));
  leaving.abort(new Error('left'));
  await left;
  held.release();
  (await first).release();
  await expect.poll(() => order).toEqual(['left', 'first', 'second']);
  expect(memory.held).toBe(200);
});

test('requests that do not wait come first, until a waiter has waited for long', async () => {
  const now = vi.spyOn(performance, 'now').mockReturnValue(0);
  const { memory } = budget();
  const held = memory.reserve(200);
  const waiting = memory.whenRoom(200, aborted());
  memory.reserve(50).release();
  now.mockReturnValue(10_001);
  expect(() => memory.reserve(50)).toThrow(MemoryFullError);
  held.release();
  expect((await waiting).bytes).toBe(200);
  now.mockRestore();
});

test('a room that is kept for a task is released when the task has ended', async () => {
  const { memory } = budget();
  const room = memory.reserve(100);
  let end = () => {};
  const task = new Promise<void>((resolve) => {
    end = resolve;
  });
  room.keepFor(task);
  room.release();
  expect(memory.held).toBe(100);
  end();
  await task;
  expect(memory.held).toBe(0);
});

test('memory that can be given back is, the oldest first, and no more of it than is needed', () => {
  const { memory, free } = budget();
  const given: string[] = [];
  for (const name of ['first', 'second', 'third']) {
    const room = memory.reserve(100);
    room.reclaimable(() => {
      given.push(name);
      room.release();
    });
  }
  expect(() => memory.reserve(301)).toThrow(MemoryFullError);
  expect(given).toEqual([]); // all of it would not be enough
  memory.reserve(150);
  expect(given).toEqual(['first', 'second']);
  expect(free).toHaveBeenCalledOnce();
  expect(memory.held).toBe(250);
});

test('memory that is used again is not given back', () => {
  const { memory } = budget();
  const room = memory.reserve(200);
  const claim = room.reclaimable(() => room.release());
  claim();
  expect(() => memory.reserve(200)).toThrow(MemoryFullError);
  expect(room.bytes).toBe(200);
});

test('memory whose owner does not give it back is not granted again', () => {
  const { memory } = budget();
  memory.reserve(200).reclaimable(() => {});
  expect(() => memory.reserve(200)).toThrow(MemoryFullError);
  expect(memory.held).toBe(200);
});

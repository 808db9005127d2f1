import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Bell } from '../../src/jobs/bell.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test.each([
  ['its job is rung', (bell: Bell) => bell.ring('job')],
  ['all jobs are rung', (bell: Bell) => bell.ringAll()],
  ['its signal aborts', (_: Bell, controller: AbortController) => controller.abort()],
  ['its time-out passes', () => vi.advanceTimersByTime(1000)],
])('a waiter is woken when %s, and leaves no entry, timer or listener behind', async (_, wake) => {
  const bell = new Bell();
  const controller = new AbortController();
  const woken = vi.fn();
  const waiting = [1, 2].map(() => bell.wait('job', controller.signal, 1000).then(woken));
  await Promise.resolve();
  expect(woken).not.toHaveBeenCalled();
  expect([bell.size, vi.getTimerCount()]).toEqual([1, 2]);
  wake(bell, controller);
  await Promise.all(waiting);
  expect(woken).toHaveBeenCalledTimes(2);
  expect([bell.size, vi.getTimerCount()]).toEqual([0, 0]);
  expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
});

test('another job does not wake it, and an aborted signal does not wait', async () => {
  const bell = new Bell();
  const woken = vi.fn();
  void bell.wait('job', new AbortController().signal).then(woken);
  bell.ring('another');
  await bell.wait('job', AbortSignal.abort());
  expect(woken).not.toHaveBeenCalled();
  expect(bell.size).toBe(1);
});

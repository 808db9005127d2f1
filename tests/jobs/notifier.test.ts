import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { JobNotifier } from '../../src/jobs/notifier.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test.each([
  ['its job has changed', (notifier: JobNotifier) => notifier.notify('job')],
  ['all are notified', (notifier: JobNotifier) => notifier.notifyAll()],
  ['its signal aborts', (_: JobNotifier, controller: AbortController) => controller.abort()],
  ['its time-out passes', () => vi.advanceTimersByTime(1000)],
])('a waiter is woken when %s, and leaves no entry, timer or listener behind', async (_, wake) => {
  const notifier = new JobNotifier();
  const controller = new AbortController();
  const woken = vi.fn();
  const waiting = [1, 2].map(() => notifier.wait('job', controller.signal, 1000).then(woken));
  await Promise.resolve();
  expect(woken).not.toHaveBeenCalled();
  expect([notifier.size, vi.getTimerCount()]).toEqual([1, 2]);
  wake(notifier, controller);
  await Promise.all(waiting);
  expect(woken).toHaveBeenCalledTimes(2);
  expect([notifier.size, vi.getTimerCount()]).toEqual([0, 0]);
  expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
});

test('another job does not wake it, and an aborted signal does not wait', async () => {
  const notifier = new JobNotifier();
  const woken = vi.fn();
  void notifier.wait('job', new AbortController().signal).then(woken);
  notifier.notify('another');
  await notifier.wait('job', AbortSignal.abort());
  expect(woken).not.toHaveBeenCalled();
  expect(notifier.size).toBe(1);
});

import { expect, test, vi } from 'vitest';
import type { Job } from '../../src/jobs/job.ts';
import { Performer } from '../../src/jobs/redis/performer.ts';
import type { JobStore } from '../../src/jobs/redis/store.ts';

const job = (status: Job['status']) =>
  ({
    id: 'a',
    status,
    finishedAt: status === 'running' ? undefined : '2026-01-01',
    webhook: 'https://a.example',
  }) as unknown as Job;

/** The statuses that the webhook is told of a job with this status. */
async function told(status: Job['status']): Promise<string[]> {
  const calls: string[] = [];
  const store = { get: async () => job(status) } as unknown as JobStore;
  const notify = async (ended: Job) => {
    calls.push(ended.status);
  };
  const options = { notify, perform: () => Promise.reject(), describeError: () => ({}), onError: () => {} };
  await new Performer(options as unknown as ConstructorParameters<typeof Performer>[0], store).notify(
    'a',
    false,
  );
  return calls;
}

test('a webhook is told of success and failure', async () => {
  expect(await told('succeeded')).toEqual(['succeeded']);
  expect(await told('failed')).toEqual(['failed']);
});

test('it is not told of a job that was cancelled while it ended', async () => {
  expect(await told('cancelled')).toEqual([]);
});

test('before the job has ended, the delivery fails, so that it is tried again', async () => {
  await expect(told('running')).rejects.toThrow('job a is still running');
});

/** A performer of job `a` whose runs last until their signal aborts, and a store that counts progress. */
function running(progress: () => Promise<boolean>) {
  const signals: AbortSignal[] = [];
  const tell: ((event: unknown) => void)[] = [];
  const store = {
    model: async () => 'm@1',
    start: async () => ({}),
    progress: vi.fn(progress),
  };
  const perform = (
    _request: unknown,
    { signal, onProgress }: { signal: AbortSignal; onProgress: () => void },
  ) => {
    signals.push(signal);
    tell.push(onProgress);
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  const options = { perform, describeError: () => ({}), onError: () => {} };
  const performer = new Performer(
    options as unknown as ConstructorParameters<typeof Performer>[0],
    store as unknown as JobStore,
  );
  return { performer, signals, tell, store };
}

test('a job that is delivered here again while it still runs is cancelled in both runs', async () => {
  const { performer, signals } = running(async () => true);
  const runs = [performer.process('a', 0), performer.process('a', 1), performer.process('b', 0)];
  await expect.poll(() => signals.length).toBe(3);
  performer.cancel('a');
  await Promise.all(runs.slice(0, 2));
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, false]);
  performer.stop();
  await expect(runs[2]).rejects.toThrow();
});

test('a run whose job has ended stops itself, and not another run', async () => {
  const { performer, signals, tell } = running(async () => false);
  const first = performer.process('a', 0);
  await expect.poll(() => signals.length).toBe(1);
  const second = performer.process('a', 1);
  await expect.poll(() => signals.length).toBe(2);
  tell[0]({});
  await first;
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
  performer.stop();
  await expect(second).rejects.toThrow();
});

test('while Redis does not answer, little progress waits for it', async () => {
  const { performer, signals, tell, store } = running(() => new Promise(() => {}));
  const run = performer.process('a', 0);
  await expect.poll(() => signals.length).toBe(1);
  for (let i = 0; i < 50; i++) tell[0]({});
  expect(store.progress).toHaveBeenCalledTimes(4);
  performer.stop();
  await expect(run).rejects.toThrow();
});

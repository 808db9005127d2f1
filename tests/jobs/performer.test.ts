import { expect, test } from 'vitest';
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

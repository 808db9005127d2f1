import { randomUUID } from 'node:crypto';
import { afterEach, expect, test, vi } from 'vitest';
import type { JobRequest, JobResult } from '../../src/jobs/job.ts';
import { MemoryJobQueue } from '../../src/jobs/memory-queue.ts';

const DAY_MS = 86_400_000;
const newRequest = (): JobRequest => ({ id: randomUUID(), task: 'sample', fields: { seed: 1 } });
afterEach(() => void vi.restoreAllMocks());

test.each([
  ['forward', DAY_MS],
  ['back', -DAY_MS],
])('jobs are neither lost nor held up when the clock jumps %s by a day', async (_, jumpMs) => {
  let finish = () => {};
  const jobs = new MemoryJobQueue({
    concurrency: 1,
    perform: () =>
      new Promise<JobResult>((resolve) => {
        finish = () => resolve({ files: [new Uint8Array(1)], mediaType: 'image/png', answer: {} });
      }),
    describeError: () => ({}),
    limit: 2,
    ttlMs: 60_000,
  });
  const { job: first } = await jobs.submit(newRequest());
  finish();
  await vi.waitFor(() => expect(first.status).toBe('succeeded'));
  const { job: second } = await jobs.submit(newRequest());
  const { job: third } = await jobs.submit(newRequest());
  const real = Date.now;
  vi.spyOn(Date, 'now').mockImplementation(() => real() + jumpMs);
  expect((await jobs.get(first.id)).status).toBe('succeeded');
  const refused = await jobs.reserve({ owner: undefined, bytes: 0 }).catch((error) => error);
  expect(refused.retryAfterS).toBeLessThan(600);
  finish();
  await vi.waitFor(() => expect([second.status, third.status]).toEqual(['succeeded', 'running']));
  finish();
  await vi.waitFor(() => expect(third.status).toBe('succeeded'));
  expect(await jobs.list({ owner: undefined, limit: 9 })).toHaveLength(3);
});

import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Job, JobRequest, JobResult } from '../../src/jobs/job.ts';
import { MemoryJobQueue } from '../../src/jobs/memory-queue.ts';

const newRequest = (): JobRequest => ({ id: randomUUID(), task: 'sample', fields: { seed: 1 } });
const settle = () => new Promise((resolve) => setImmediate(resolve));

test('a job says when it was made, started and finished, and its first event how many were before it', async () => {
  const clock = { ms: 0 };
  let finish = () => {};
  const jobs = new MemoryJobQueue({
    concurrency: 1,
    perform: () =>
      new Promise<JobResult>((resolve) => {
        finish = () => resolve({ files: [], mediaType: 'image/png', answer: {} });
      }),
    describeError: () => ({}),
    limit: 10,
    ttlMs: 1000,
    now: () => clock.ms,
    date: () => new Date(clock.ms),
  });
  const { job: first } = await jobs.submit(newRequest());
  clock.ms = 5;
  const { job: second } = await jobs.submit(newRequest());
  clock.ms = 7;
  finish();
  await settle();
  clock.ms = 9;
  finish();
  await settle();
  const times = ({ createdAt, startedAt, finishedAt }: Job) => [createdAt, startedAt, finishedAt].map(Number);
  expect(times(first)).toEqual([0, 0, 7]);
  expect(times(second)).toEqual([5, 7, 9]);
  for (const [position, { id }] of [first, second].entries()) {
    const { value } = await jobs.events(id, 0, new AbortController().signal).next();
    expect(value).toEqual({ id: 1, event: 'queued', data: { position } });
  }
});

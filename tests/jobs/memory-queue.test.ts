import { expect, test } from 'vitest';
import type { JobEvent, JobRequest, Outcome } from '../../src/jobs/job.ts';
import { IdempotencyConflictError, UnknownJobError } from '../../src/jobs/job.ts';
import { MemoryJobQueue, type MemoryQueueOptions } from '../../src/jobs/memory-queue.ts';
import { QueueFullError } from '../../src/scheduler/scheduler.ts';

const request: JobRequest = { task: 'sample', fields: { seed: 1 } };
const outcome = (bytes = 10): Outcome => ({
  files: [new Uint8Array(bytes)],
  mediaType: 'image/png',
  answer: { seed: 1 },
});
const settle = () => new Promise((resolve) => setImmediate(resolve));

function queue(options: Partial<MemoryQueueOptions> = {}) {
  const clock = { ms: 0 };
  const jobs = new MemoryJobQueue({
    perform: async () => outcome(),
    describeError: (error) => ({ detail: (error as Error).message }),
    limit: 10,
    ttlMs: 1000,
    now: () => clock.ms,
    ...options,
  });
  return { jobs, clock };
}

test('finished jobs are kept for their time, and no longer', async () => {
  const { jobs, clock } = queue();
  const { id } = jobs.submit(request).job;
  await settle();
  expect(jobs.get(id)).toMatchObject({ status: 'succeeded', images: 1 });
  clock.ms = 999;
  expect(jobs.image(id, 0).file).toHaveLength(10);
  clock.ms = 1000;
  expect(() => jobs.get(id)).toThrow(UnknownJobError);
});

test('the oldest pictures go when there are too many bytes', async () => {
  const { jobs } = queue({ resultBytes: 25 });
  const ids = [1, 2, 3].map(() => jobs.submit(request).job.id);
  await settle();
  expect(jobs.list({ limit: 10 }).map(({ id }) => id)).toEqual([ids[2], ids[1]]);
});

test('a job that fails ends with its problem; a full network only makes it wait', async () => {
  let full = 2;
  const { jobs } = queue({
    perform: async ({ fields }) => {
      if (fields.bad) throw new Error('boom');
      if (full-- > 0) throw new QueueFullError(1);
      return outcome();
    },
  });
  const bad = jobs.submit({ ...request, fields: { bad: true } }).job;
  const waits = jobs.submit(request).job;
  await expect.poll(() => waits.status).toBe('succeeded');
  expect(bad).toMatchObject({ status: 'failed', error: { detail: 'boom' } });
});

test('a cancelled job stops, says so, and what it still brings is dropped', async () => {
  let finish = (_: Outcome) => {};
  const { jobs } = queue({
    perform: (_, { signal }) =>
      new Promise((resolve) => {
        finish = resolve;
        signal.addEventListener('abort', () => resolve(outcome()));
      }),
  });
  const { job } = jobs.submit(request);
  const seen: JobEvent[] = [];
  const following = (async () => {
    for await (const event of jobs.events(job.id, 0, new AbortController().signal)) seen.push(event);
  })();
  await settle();
  jobs.cancel(job.id);
  finish(outcome());
  await following;
  expect(job).toMatchObject({ status: 'cancelled', images: 0 });
  expect(seen.map(({ event }) => event)).toEqual(['queued', 'cancelled']);
});

test('keys: the same job again, a conflict, and room for at most the limit', () => {
  const { jobs } = queue({ limit: 2, perform: () => new Promise(() => {}) });
  const first = jobs.submit(request, { value: 'k', fingerprint: 'a' });
  expect(jobs.submit(request, { value: 'k', fingerprint: 'a' })).toEqual({ job: first.job, known: true });
  expect(() => jobs.submit(request, { value: 'k', fingerprint: 'b' })).toThrow(IdempotencyConflictError);
  jobs.submit(request);
  expect(() => jobs.submit(request)).toThrow(QueueFullError);
});

test('followers that go away leave nothing behind', async () => {
  const { jobs } = queue({ perform: () => new Promise(() => {}) });
  const { id } = jobs.submit(request).job;
  const controller = new AbortController();
  const followers = Array.from({ length: 20 }, async () => {
    for await (const _ of jobs.events(id, 0, controller.signal));
  });
  await settle();
  controller.abort();
  await Promise.all(followers);
});

test('closing waits for what runs and cancels what waits', async () => {
  let finish = () => {};
  const { jobs } = queue({
    concurrency: 1,
    perform: () =>
      new Promise((resolve) => {
        finish = () => resolve(outcome());
      }),
  });
  const [running, waiting] = [jobs.submit(request).job, jobs.submit(request).job];
  const closed = jobs.close();
  expect(waiting.status).toBe('cancelled');
  finish();
  await closed;
  expect(running.status).toBe('succeeded');
});

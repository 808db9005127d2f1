import { randomUUID } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test, vi } from 'vitest';
import type { JobEvent, JobRequest, JobResult } from '../../src/jobs/job.ts';
import {
  EVENTS_KEPT,
  IdempotencyConflictError,
  JobLimitError,
  JobStoreError,
  UnknownJobError,
} from '../../src/jobs/job.ts';
import { MemoryJobQueue, type MemoryQueueOptions } from '../../src/jobs/memory-queue.ts';
import { limitsSuite } from './limits.ts';
import { resumingSuite } from './resuming.ts';

// A webhook that fails is tried again at once.
vi.mock('node:timers/promises', () => ({ setTimeout: async () => {} }));

const newRequest = (): JobRequest => ({ id: randomUUID(), task: 'sample', fields: { seed: 1 } });
const result = (bytes = 10): JobResult => ({
  files: [new Uint8Array(bytes)],
  mediaType: 'image/png',
  answer: { seed: 1 },
});
setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');
const settle = () => new Promise((resolve) => setImmediate(resolve));

function queue(options: Partial<MemoryQueueOptions> = {}) {
  const clock = { ms: 0 };
  const jobs = new MemoryJobQueue({
    perform: async () => result(),
    describeError: (error) => ({ detail: (error as Error).message }),
    limit: 10,
    ttlMs: 1000,
    now: () => clock.ms,
    ...options,
  });
  return { jobs, clock };
}

describe('limits', () =>
  limitsSuite(async (options) => queue({ now: () => performance.now(), ...options }).jobs));

describe('resuming', () => resumingSuite(async (options) => queue(options).jobs));

test('finished jobs are kept for their time, and no longer', async () => {
  const { jobs, clock } = queue();
  const { id } = (await jobs.submit(newRequest())).job;
  await settle();
  expect(await jobs.get(id)).toMatchObject({ status: 'succeeded', images: 1 });
  clock.ms = 999;
  expect((await jobs.image(id, 0)).file).toHaveLength(10);
  clock.ms = 1000;
  await expect(jobs.get(id)).rejects.toThrow(UnknownJobError);
});

test('the oldest pictures go when there are too many bytes', async () => {
  const { jobs } = queue({ resultBytes: 80 }); // a job has 10 of its picture and 24 of its events
  const ids = await Promise.all([1, 2, 3].map(async () => (await jobs.submit(newRequest())).job.id));
  await settle();
  expect((await jobs.list({ limit: 10 })).map(({ id }) => id)).toEqual([ids[2], ids[1]]);
});

test('previews in events count as well', async () => {
  const { jobs } = queue({
    resultBytes: 4000,
    perform: async (_, { onProgress }) => {
      const preview = 'x'.repeat(1000);
      for (const step of [1, 2, 3]) onProgress({ step, of: 3, eta_ms: 0, timestep: 0, abar: 1, preview });
      return result();
    },
  });
  const ids = await Promise.all([1, 2].map(async () => (await jobs.submit(newRequest())).job.id));
  await settle();
  expect((await jobs.list({ limit: 10 })).map(({ id }) => id)).toEqual([ids[1]]);
});

test('what has expired is dropped although no client asks for a job', async () => {
  const { jobs, clock } = queue();
  const kept = new WeakRef((await jobs.submit(newRequest())).job);
  await settle();
  clock.ms = 1000;
  await jobs.waiting();
  await settle(); // ends the turn in which the job was reachable
  collectGarbage();
  expect(kept.deref()).toBeUndefined();
});

test('a result larger than the store is kept until the next job has finished', async () => {
  const { jobs, clock } = queue({ resultBytes: 25, perform: async () => result(100) });
  const [first, second] = [
    (await jobs.submit(newRequest())).job.id,
    (await jobs.submit(newRequest())).job.id,
  ];
  await settle();
  expect((await jobs.list({ limit: 10 })).map(({ id }) => id)).toEqual([second]);
  await expect(jobs.get(first)).rejects.toThrow(UnknownJobError);
  expect((await jobs.image(second, 0)).file).toHaveLength(100);
  clock.ms = 1000;
  await expect(jobs.get(second)).rejects.toThrow(UnknownJobError);
});

test('a job that fails ends with its problem', async () => {
  const { jobs } = queue({ perform: async () => Promise.reject(new Error('boom')) });
  const { job } = await jobs.submit(newRequest());
  await expect.poll(() => job).toMatchObject({ status: 'failed', error: { detail: 'boom' } });
});

test('a cancelled job stops, says so, and what it still brings is dropped', async () => {
  let finish = (_: JobResult) => {};
  let stopped: AbortSignal | undefined;
  const { jobs } = queue({
    perform: (_, { signal }) => {
      stopped = signal;
      return new Promise((resolve) => {
        finish = resolve;
      });
    },
  });
  const { job } = await jobs.submit(newRequest());
  const seen: JobEvent[] = [];
  const following = (async () => {
    for await (const event of jobs.events(job.id, 0, new AbortController().signal)) seen.push(event);
  })();
  await settle();
  expect(stopped?.aborted).toBe(false);
  await jobs.cancel(job.id);
  expect(stopped?.aborted).toBe(true);
  finish(result());
  await following;
  await settle();
  expect(job).toMatchObject({ status: 'cancelled', images: 0 });
  expect(seen.map(({ event }) => event)).toEqual(['queued', 'cancelled']);
});

test('keys: the same job again, a conflict, and room for at most the limit', async () => {
  const { jobs } = queue({ limit: 2, perform: () => new Promise(() => {}) });
  const first = await jobs.submit(newRequest(), { value: 'k', fingerprint: 'a' });
  expect(await jobs.submit(newRequest(), { value: 'k', fingerprint: 'a' })).toEqual({
    job: first.job,
    known: true,
  });
  const other = { value: 'k', fingerprint: 'b' };
  await expect(jobs.submit(newRequest(), other)).rejects.toThrow(IdempotencyConflictError);
  await jobs.submit(newRequest());
  await expect(jobs.submit(newRequest())).rejects.toThrow(JobLimitError);
});

test('requests with one key that arrive together are one job', async () => {
  const { jobs } = queue({ perform: () => new Promise(() => {}) });
  const key = { value: 'k', fingerprint: 'a' };
  const [first, second] = await Promise.all([jobs.submit(newRequest(), key), jobs.submit(newRequest(), key)]);
  expect([first.known, second.known]).toEqual([false, true]);
  expect(second.job).toBe(first.job);
});

test('followers that go away leave nothing behind, and the others go on', async () => {
  let finish = (_: JobResult) => {};
  const { jobs } = queue({
    perform: () =>
      new Promise((resolve) => {
        finish = resolve;
      }),
  });
  const { id } = (await jobs.submit(newRequest())).job;
  const controllers = Array.from({ length: 5 }, () => new AbortController());
  const listeners = () => controllers.map(({ signal }) => getEventListeners(signal, 'abort').length);
  const follow = async ({ signal }: AbortController) => {
    const seen: string[] = [];
    for await (const { event } of jobs.events(id, 0, signal)) seen.push(event);
    return seen;
  };
  const [staying, ...leaving] = controllers.map(follow);
  await settle();
  expect(listeners()).toEqual([1, 1, 1, 1, 1]);
  for (const controller of controllers.slice(1)) controller.abort();
  expect(await Promise.all(leaving)).toEqual(Array(4).fill(['queued']));
  expect(listeners()).toEqual([1, 0, 0, 0, 0]);
  finish(result());
  expect(await staying).toEqual(['queued', 'result']);
  expect(listeners()).toEqual([0, 0, 0, 0, 0]);
});

test('closing waits for what runs and cancels what waits', async () => {
  let finish = () => {};
  const { jobs } = queue({
    concurrency: 1,
    perform: () =>
      new Promise((resolve) => {
        finish = () => resolve(result());
      }),
  });
  const { job: running } = await jobs.submit(newRequest());
  const { job: waiting } = await jobs.submit(newRequest());
  const closed = jobs.close();
  expect(waiting.status).toBe('cancelled');
  finish();
  await closed;
  expect(running.status).toBe('succeeded');
});

test('a job that arrives while the queue closes is refused: nobody would run it', async () => {
  const { jobs } = queue();
  await jobs.close();
  await expect(jobs.submit(newRequest())).rejects.toThrow(new JobStoreError('the service is shutting down'));
});

test('only the newest events are kept, under their own numbers', async () => {
  const { jobs } = queue({
    perform: async (_, { onProgress }) => {
      for (let step = 1; step <= 300; step++) onProgress({ step, of: 300, eta_ms: 0, timestep: 0, abar: 1 });
      return result();
    },
  });
  const { id } = (await jobs.submit(newRequest())).job;
  await settle();
  const seen: JobEvent[] = [];
  for await (const event of jobs.events(id, 0, new AbortController().signal)) seen.push(event);
  expect(seen).toHaveLength(EVENTS_KEPT);
  expect(seen.at(-1)).toMatchObject({ id: 302, event: 'result' });
});

test('a webhook is called until it accepts the outcome, and not after a cancellation', async () => {
  const told: string[] = [];
  let deaf = true;
  const { jobs } = queue({
    perform: ({ fields }) => (fields.forever ? new Promise(() => {}) : Promise.resolve(result())),
    notify: async ({ id, status }) => {
      if (deaf) {
        deaf = false;
        throw new Error('not now');
      }
      told.push(`${id} ${status}`);
    },
  });
  const webhook = 'https://example.org/hook';
  const { job: cancelled } = await jobs.submit({ ...newRequest(), fields: { forever: true }, webhook });
  await jobs.cancel(cancelled.id);
  const { job } = await jobs.submit({ ...newRequest(), webhook });
  await expect.poll(() => told).toEqual([`${job.id} succeeded`]);
});

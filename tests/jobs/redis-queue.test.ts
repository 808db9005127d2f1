import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { EngineError } from '../../src/engine/engine.ts';
import {
  EVENTS_KEPT,
  IdempotencyConflictError,
  type Job,
  type JobEvent,
  JobLimitError,
  type JobRequest,
  type JobResult,
  JobStoreError,
  NoPictureError,
  UnknownJobError,
} from '../../src/jobs/job.ts';
import { RedisJobQueue, type RedisQueueOptions } from '../../src/jobs/redis/queue.ts';
import { JobStore } from '../../src/jobs/redis/store.ts';
import { hasRedis, RedisServer } from '../helpers/redis.ts';
import { limitsSuite } from './limits.ts';
import { resumingSuite } from './resuming.ts';

vi.mock('../../src/jobs/webhook.ts', () => ({ WEBHOOK_TRIES: 2, WEBHOOK_DELAY_MS: 10 }));

const newRequest = (): JobRequest => ({ id: randomUUID(), task: 'sample', fields: { seed: 1 } });
const result = (bytes = 10): JobResult => ({
  files: [new Uint8Array(bytes).fill(7)],
  mediaType: 'image/png',
  answer: { seed: 1 },
});
const forever = new AbortController().signal;

describe.skipIf(!hasRedis)('jobs on Redis', () => {
  let redis: RedisServer;
  const open: RedisJobQueue[] = [];
  let number = 0;
  let prefix = '';
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((queue) => queue.close()));
    prefix = `{test-${++number}}:`;
  });
  afterAll(() => redis.remove());

  /** One replica; those of a test share what is in Redis. */
  async function replica(options: Partial<RedisQueueOptions> = {}): Promise<RedisJobQueue> {
    const queue = await RedisJobQueue.connect({
      url: redis.url,
      prefix,
      limit: 10,
      ttlMs: 60_000,
      perform: async () => result(),
      describeError: (error) => ({ detail: (error as Error).message }),
      onError: () => {},
      ...options,
    });
    open.push(queue);
    return queue;
  }

  /** A replica whose jobs take a step every 20 ms until they are cancelled; they hear of that when they report a step. */
  const busy = (onStop = () => {}) => {
    const perform: RedisQueueOptions['perform'] = async (_, { signal, onProgress }) => {
      while (!signal.aborted) {
        onProgress({ step: 1, of: 2, eta_ms: 0, timestep: 0, abar: 1 });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      onStop();
      return result();
    };
    return replica({ perform, concurrency: 3 });
  };
  const ended = async (queue: RedisJobQueue, id: string): Promise<Job> => {
    await expect.poll(async () => (await queue.get(id)).finishedAt).toBeTruthy();
    return queue.get(id);
  };
  const follow = async (queue: RedisJobQueue, id: string, after = 0) => {
    const seen: JobEvent[] = [];
    for await (const event of queue.events(id, after, forever)) seen.push(event);
    return seen;
  };

  describe('resuming', () => resumingSuite(replica));

  describe('limits', () =>
    limitsSuite(async (options) => {
      prefix = `{test-limits-${++number}}:`;
      return replica(options);
    }));

  test('a replica that runs nothing says when there will be room, as far as it can be told', async () => {
    const perform: RedisQueueOptions['perform'] = (_, { signal, onProgress }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        setTimeout(() => onProgress({ step: 1, of: 1000, eta_ms: 0, timestep: 0, abar: 1 }), 20);
      });
    const running = await replica({ perform });
    const { job } = await running.submit(newRequest());
    await expect.poll(async () => (await running.get(job.id)).progress.step).toBe(1);
    const idle = await replica({ limit: 1 });
    const refused = await idle.reserve({ owner: undefined, bytes: 1 }).catch((error) => error);
    expect(refused).toBeInstanceOf(JobLimitError);
    expect(refused.retryAfterS).toBeGreaterThan(10);
    await idle.cancel(job.id);
  });

  test('a job that reports no step hears at once that it was cancelled', async () => {
    let started: AbortSignal | undefined;
    const perform: RedisQueueOptions['perform'] = (_, { signal }) => {
      started = signal;
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    };
    const running = await replica({ perform });
    const { job } = await running.submit(newRequest());
    await expect.poll(() => started).toBeDefined(); // later than its status: Redis answers the replica in between
    await (await replica()).cancel(job.id);
    await expect.poll(() => started?.aborted).toBe(true);
  });

  test.each([
    ['forward', 86_400_000],
    ['back', -86_400_000],
  ])('no job is lost or held up when the clock of a replica jumps %s by a day', async (_, jumpMs) => {
    const queue = await replica();
    const { job: before } = await queue.submit(newRequest());
    await ended(queue, before.id);
    const real = Date.now;
    vi.spyOn(Date, 'now').mockImplementation(() => real() + jumpMs);
    onTestFinished(() => void vi.restoreAllMocks());
    const { job: after } = await queue.submit(newRequest());
    expect(await ended(queue, after.id)).toMatchObject({ status: 'succeeded' });
    expect((await queue.list({ owner: undefined, limit: 9 })).map(({ id }) => id)).toEqual([
      after.id,
      before.id,
    ]);
  });

  test('any replica takes, runs, reports and serves any job', async () => {
    const requests: JobRequest[] = [];
    const perform: RedisQueueOptions['perform'] = async (request, { onProgress }) => {
      requests.push(request);
      for (let step = 1; step <= 3; step++) onProgress({ step, of: 3, eta_ms: 0, timestep: 0, abar: 1 });
      return result();
    };
    const [a, b] = [await replica({ perform }), await replica({ perform })];
    const sent = { ...newRequest(), image: Buffer.from([0, 255, 13, 10]), mask: Buffer.from([128]) };
    const { job, known } = await a.submit(sent);
    expect(known).toBe(false);
    const events = await follow(b, job.id);
    expect(events.map(({ id, event }) => [id, event])).toEqual([
      [1, 'queued'],
      [2, 'progress'],
      [3, 'progress'],
      [4, 'progress'],
      [5, 'result'],
    ]);
    expect(await follow(a, job.id, 4)).toEqual([{ id: 5, event: 'result', data: { seed: 1 } }]);
    expect(await follow(a, job.id, 5)).toEqual([]);
    expect(requests[0]).toMatchObject({ fields: { seed: 1 }, image: sent.image, mask: sent.mask });
    const done = await b.get(job.id);
    expect(done).toMatchObject({ status: 'succeeded', images: 1, progress: { step: 3, of: 3 } });
    for (const queue of [a, b]) {
      const { file, mediaType } = await queue.image(job.id, 0);
      expect([Buffer.from(file), mediaType]).toEqual([Buffer.alloc(10, 7), 'image/png']);
      await expect(queue.image(job.id, 1)).rejects.toThrow(NoPictureError);
      expect((await queue.list({ limit: 5 })).map(({ id }) => id)).toEqual([job.id]);
    }
  });

  test('keys, on whichever replica; room for at most the limit over all of them', async () => {
    const [a, b] = [await busy(), await busy()];
    const key = { value: 'k', fingerprint: 'a' };
    const { job } = await a.submit(newRequest(), key);
    expect(await b.submit(newRequest(), key)).toMatchObject({ job: { id: job.id }, known: true });
    await expect(b.submit(newRequest(), { ...key, fingerprint: 'b' })).rejects.toThrow(
      IdempotencyConflictError,
    );
    const many = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => [a, b][i % 2].submit(newRequest())),
    );
    const refused = many.filter((result) => result.status === 'rejected');
    expect(refused).toHaveLength(11);
    expect(refused[0].reason).toBeInstanceOf(JobLimitError);
    await Promise.all((await a.list({ limit: 100 })).map(({ id }) => b.cancel(id))); // so that close() has nothing to wait for
  });

  test('a job that runs on one replica is cancelled through another, and forgotten', async () => {
    let stopped = 0;
    const [a, b] = [await busy(() => stopped++), await busy(() => stopped++)];
    const jobs = await Promise.all([1, 2, 3].map(async () => (await a.submit(newRequest())).job));
    await expect
      .poll(async () => (await a.list({ status: 'running', limit: 9 })).map(({ progress }) => progress.step))
      .toEqual([1, 1, 1]);
    const last = jobs.map(({ id }) => follow(a, id).then((events) => events.at(-1)?.event));
    for (const { id } of jobs) expect(await b.cancel(id)).toMatchObject({ status: 'cancelled', images: 0 });
    expect(await Promise.all(last)).toEqual(Array(3).fill('cancelled'));
    await expect.poll(() => stopped).toBe(3);
    await a.cancel(jobs[0].id); // a second time: forgotten
    await expect(b.get(jobs[0].id)).rejects.toThrow(UnknownJobError);
  });

  test('a failed job reports its error; after an engine failure it is tried again', async () => {
    let tries = 0;
    const queue = await replica({
      perform: async ({ fields }) => {
        if (fields.bad) throw new Error('boom');
        if (tries++ === 0) throw new EngineError('worker lost');
        return result();
      },
    });
    const { job: bad } = await queue.submit({ ...newRequest(), fields: { bad: true } });
    const { job: good } = await queue.submit(newRequest());
    expect(await ended(queue, bad.id)).toMatchObject({ status: 'failed', error: { detail: 'boom' } });
    expect(await ended(queue, good.id)).toMatchObject({ status: 'succeeded' });
    expect(tries).toBe(2);
  });

  test('past the bound the oldest results go; past the time all of them', async () => {
    const queue = await replica({ resultBytes: 80, ttlMs: 1500 }); // a job has 10 of its picture and 24 of its events
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) {
      ids.push((await queue.submit(newRequest())).job.id);
      await ended(queue, ids[i]);
    }
    expect((await queue.list({ limit: 10 })).map(({ id }) => id)).toEqual([ids[2], ids[1]]);
    await expect(queue.get(ids[0])).rejects.toThrow(UnknownJobError);
    await expect.poll(() => queue.list({ limit: 10 })).toEqual([]);
  });

  test('previews in events count as well', async () => {
    const queue = await replica({
      resultBytes: 4000,
      perform: async (_, { onProgress }) => {
        const preview = 'x'.repeat(1000);
        for (const step of [1, 2, 3]) onProgress({ step, of: 3, eta_ms: 0, timestep: 0, abar: 1, preview });
        return result();
      },
    });
    const ids: string[] = [];
    for (let i = 0; i < 2; i++) {
      ids.push((await queue.submit(newRequest())).job.id);
      await ended(queue, ids[i]);
    }
    expect((await queue.list({ limit: 10 })).map(({ id }) => id)).toEqual([ids[1]]);
  });

  test('only the newest events are kept, under their own numbers', async () => {
    const saving = vi.spyOn(JobStore.prototype, 'progress');
    const queue = await replica({
      perform: async (_, { onProgress }) => {
        for (let step = 1; step <= 300; step++) {
          onProgress({ step, of: 300, eta_ms: 0, timestep: 0, abar: 1 });
          await saving.mock.results.at(-1)?.value; // or some would be left out
        }
        return result();
      },
    });
    const { job } = await queue.submit(newRequest());
    await ended(queue, job.id);
    const reading = vi.spyOn(JobStore.prototype, 'events');
    onTestFinished(() => void vi.restoreAllMocks());
    const events = await follow(queue, job.id);
    expect(events).toHaveLength(EVENTS_KEPT);
    expect(events.at(-1)).toMatchObject({ id: 302, event: 'result' });
    const read = (await Promise.all(reading.mock.results.map(({ value }) => value))) as JobEvent[][];
    expect(Math.max(...read.map(({ length }) => length))).toBeLessThan(10); // a client that reads nothing holds no more
  });

  test('a webhook is retried until it accepts the outcome; the last try is said to be that', async () => {
    const told: string[] = [];
    const queue = await replica({
      notify: async ({ id, status, webhook }, isLastTry) => {
        told.push(`${id} ${status} ${webhook} ${isLastTry}`);
        if (!isLastTry) throw new Error('not now');
      },
    });
    const webhook = 'https://example.org/hook';
    const { job } = await queue.submit({ ...newRequest(), webhook });
    const tries = [false, true].map((isLastTry) => `${job.id} succeeded ${webhook} ${isLastTry}`);
    await expect.poll(() => told).toEqual(tries);
  });

  test('while Redis is down, requests fail soon; running jobs wait and then finish normally', async () => {
    let go = () => {};
    const queue = await replica({
      perform: async (_, { onProgress }) => {
        onProgress({ step: 1, of: 2, eta_ms: 0, timestep: 0, abar: 1 });
        await new Promise<void>((resolve) => {
          go = resolve;
        });
        onProgress({ step: 2, of: 2, eta_ms: 0, timestep: 0, abar: 1 });
        return result();
      },
    });
    const { job } = await queue.submit(newRequest());
    await expect.poll(async () => (await queue.get(job.id)).progress.step).toBe(1);
    const events = follow(await replica(), job.id);
    await redis.stop();
    await expect(queue.get(job.id)).rejects.toThrow(JobStoreError);
    await expect(queue.submit(newRequest())).rejects.toThrow(JobStoreError);
    go();
    await redis.start();
    expect(await ended(queue, job.id)).toMatchObject({ status: 'succeeded' });
    expect((await events).map(({ event }) => event)).toEqual(['queued', 'progress', 'progress', 'result']);
  });

  test('a job whose record was lost gives up its place', async () => {
    const perform: RedisQueueOptions['perform'] = (_, { signal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const queue = await replica({ limit: 2, concurrency: 1, perform });
    const { job: running } = await queue.submit(newRequest());
    await expect.poll(async () => (await queue.get(running.id)).status).toBe('running');
    const { job: lost } = await queue.submit(newRequest());
    const other = new Redis(redis.url);
    onTestFinished(() => other.disconnect());
    await other.del(`${prefix}job:${lost.id}`); // as an eviction does
    await expect(queue.submit(newRequest())).rejects.toThrow(JobLimitError);
    await queue.cancel(running.id);
    await expect.poll(() => other.scard(`${prefix}unfinished`)).toBe(0);
  });

  test('the work of a job that another version has stored in another form is unknown', async () => {
    const queue = await replica();
    const { job } = await queue.submit({ ...newRequest(), work: [{ network: 'base', rows: 1, steps: 3 }] });
    expect((await queue.get(job.id)).work).toHaveLength(1);
    const other = new Redis(redis.url);
    onTestFinished(() => other.disconnect());
    await other.hset(`${prefix}job:${job.id}`, 'work', '{"base":3}');
    expect((await queue.get(job.id)).work).toBeUndefined();
  });

  test('a database that does not exist is a sentence', async () => {
    await expect(replica({ url: `${redis.url}/99` })).rejects.toThrow(
      'Redis at REDIS_URL has no database 99',
    );
  });

  test('a wrong address is a sentence', async () => {
    const wrong = replica({ url: 'redis://127.0.0.1:1' });
    await expect(wrong).rejects.toThrow(/Redis cannot be reached at REDIS_URL: .*ECONNREFUSED/);
  });
});

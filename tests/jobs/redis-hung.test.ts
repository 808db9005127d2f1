import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type JobRequest, type JobResult, JobStoreError } from '../../src/jobs/job.ts';
import { RedisJobQueue, type RedisQueueOptions } from '../../src/jobs/redis/queue.ts';
import { startProcess } from '../helpers/process.ts';
import { hasRedis, RedisServer } from '../helpers/redis.ts';
import { listen } from '../helpers/tcp.ts';

const newRequest = (): JobRequest => ({ id: randomUUID(), task: 'sample', fields: { seed: 1 } });
const result: JobResult = { files: [new Uint8Array(10)], mediaType: 'image/png', answer: { seed: 1 } };
const forever = new AbortController().signal;
const connect = (url: string, options: Partial<RedisQueueOptions> = {}) =>
  RedisJobQueue.connect({
    url,
    limit: 10,
    ttlMs: 60_000,
    perform: async () => result,
    describeError: (error) => ({ detail: (error as Error).message }),
    onError: () => {},
    ...options,
  });

describe.skipIf(!hasRedis)('a Redis that is stopped and answers nothing', () => {
  let redis: RedisServer;
  beforeEach(async () => {
    redis = await RedisServer.start();
  });
  afterEach(() => redis.remove());

  test('fails every call of a request; jobs and their followers go on when it is back', async () => {
    let go = () => {};
    const perform: RedisQueueOptions['perform'] = async (_, { onProgress }) => {
      onProgress({ step: 1, of: 2, eta_ms: 0, timestep: 0, abar: 1 });
      await new Promise<void>((resolve) => {
        go = resolve;
      });
      return result;
    };
    const queue = await connect(redis.url, { perform });
    onTestFinished(() => queue.close());
    const { job } = await queue.submit(newRequest());
    await expect.poll(async () => (await queue.get(job.id)).progress.step).toBe(1);
    const following = (async () => {
      const seen: string[] = [];
      for await (const { event } of queue.events(job.id, 0, forever)) seen.push(event);
      return seen;
    })();
    redis.pause();
    const calls = [
      queue.find({ value: 'k', fingerprint: 'a' }, undefined),
      queue.reserve({ owner: undefined, bytes: 0 }),
      queue.submit(newRequest()),
      queue.get(job.id),
      queue.list({ limit: 5 }),
      queue.image(job.id, 0),
      queue.cancel(job.id),
    ];
    const answers = await Promise.allSettled(calls);
    expect(answers.map((answer) => answer.status === 'rejected' && answer.reason.constructor)).toEqual(
      calls.map(() => JobStoreError),
    );
    go();
    redis.resume();
    expect((await following).at(-1)).toBe('result');
    expect(await queue.get(job.id)).toMatchObject({ status: 'succeeded' });
  });

  test('does not keep a replica from closing, and another one runs its jobs', async () => {
    let started: AbortSignal | undefined;
    const perform: RedisQueueOptions['perform'] = (_, { signal }) => {
      started = signal;
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    };
    const first = await connect(redis.url, { perform });
    const { job } = await first.submit({ ...newRequest(), image: Buffer.alloc(60) });
    await expect.poll(() => started).toBeDefined(); // later than its status: Redis answers the replica in between
    const events = first.events(job.id, 1, forever);
    const following = events.next();
    redis.pause();
    await first.close();
    expect(started?.reason).toMatchObject({ name: 'ShutdownError' });
    expect((await following).done).toBe(true);
    redis.resume();
    const second = await connect(redis.url, { inputBytes: 100 });
    onTestFinished(() => second.close());
    const claim = { owner: undefined, bytes: 60 };
    await expect(second.reserve(claim)).rejects.toThrow('JOB_INPUT_BYTES is reached');
    await expect.poll(async () => (await second.get(job.id)).status).toBe('succeeded');
    (await second.reserve(claim)).release(); // its bytes are free again
  });

  test('the service answers jobs with 503, everything else as usual, and ends on SIGTERM', async () => {
    const service = startProcess({
      REDIS_URL: redis.url,
      RATE_LIMIT: '1000/minute',
      SHUTDOWN_GRACE_MS: '3000000',
    });
    const url = await service.url;
    const post = (path: string) =>
      fetch(`${url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ task: path === '/v1/jobs' ? 'sample' : undefined, steps: 2 }),
      });
    const { id } = (await (await post('/v1/jobs')).json()) as { id: string };
    redis.pause();
    for (const answer of await Promise.all([
      post('/v1/jobs'),
      fetch(`${url}/v1/jobs`),
      fetch(`${url}/v1/jobs/${id}`),
      fetch(`${url}/v1/jobs/${id}`, { method: 'DELETE' }),
      fetch(`${url}/v1/jobs/${id}/events`),
      fetch(`${url}/v1/jobs/${id}/images/0`),
    ])) {
      expect(answer.status).toBe(503);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await answer.json()).toMatchObject({
        type: '/problems/not-ready',
        detail: 'the job store cannot be reached',
      });
    }
    expect((await post('/v1/sample')).status).toBe(200);
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    service.child.kill('SIGTERM');
    expect(await service.exit).toEqual([0, null]);
  });
});

describe('at start', () => {
  /** A server that accepts connections, and answers each command with `answer`. */
  async function fakeRedis(answer: string) {
    const port = await listen((socket) =>
      socket.on('data', (data) => {
        const commands = String(data).match(/^\*\d+\r\n/gm) ?? [];
        socket.write(answer.repeat(commands.length));
      }),
    );
    return `redis://127.0.0.1:${port}`;
  }

  test('a Redis that accepts connections and answers nothing is a sentence', async () => {
    await expect(connect(await fakeRedis(''))).rejects.toThrow(/^Redis cannot be reached at REDIS_URL: /);
  });

  test('a Redis that is too old is a sentence', async () => {
    const info = 'redis_version:5.0.14\r\n';
    const url = await fakeRedis(`$${info.length}\r\n${info}\r\n`);
    await expect(connect(url)).rejects.toThrow('Redis 5.0.14 at REDIS_URL is too old');
  });
});

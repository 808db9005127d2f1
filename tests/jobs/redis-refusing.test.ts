import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type JobRequest, JobStoreError } from '../../src/jobs/job.ts';
import { Deliveries } from '../../src/jobs/redis/deliveries.ts';
import { RedisJobQueue } from '../../src/jobs/redis/queue.ts';
import { hasRedis, RedisServer } from '../helpers/redis.ts';

const newRequest = (): JobRequest => ({ id: randomUUID(), task: 'sample', fields: { seed: 1 } });
const claim = { owner: undefined, bytes: 0 };

describe.skipIf(!hasRedis)('a Redis that refuses commands', () => {
  let redis: RedisServer;
  let admin: Redis;
  let errors: string[];
  beforeEach(async () => {
    redis = await RedisServer.start();
    admin = new Redis(redis.url);
    errors = [];
  });
  afterEach(async () => {
    admin.disconnect();
    await redis.remove();
  });

  async function connect(url = redis.url) {
    const queue = await RedisJobQueue.connect({
      url,
      limit: 10,
      ttlMs: 60_000,
      perform: () => new Promise(() => {}),
      describeError: (error) => ({ detail: (error as Error).message }),
      onError: ({ message }) => errors.push(message),
    });
    onTestFinished(() => queue.close());
    return queue;
  }

  test('at start: the message is its reply', async () => {
    await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-info');
    await expect(connect(redis.url.replace('//', '//app:secret@'))).rejects.toThrow(
      /^Redis at REDIS_URL refuses a command that jobs need: NOPERM/,
    );
  });

  test('when it is full: a job is refused and not stored, and the rest works', async () => {
    const queue = await connect();
    await admin.config('SET', 'maxmemory', '1');
    const submitted = queue.submit(newRequest());
    await expect(submitted).rejects.toThrow(JobStoreError);
    await expect(submitted).rejects.toThrow(/^the job store refuses a command: (OOM|ERR)$/);
    expect(errors).toContainEqual(
      expect.stringContaining("OOM command not allowed when used memory > 'maxmemory'"),
    );
    expect(await queue.waiting()).toBe(0);
    expect(await queue.list({ limit: 5 })).toEqual([]);
    (await queue.reserve(claim)).release();

    await admin.config('SET', 'maxmemory', '0');
    expect(await queue.submit(newRequest())).toMatchObject({ known: false });
  });

  test('after the job is stored: it is accepted', async () => {
    const queue = await connect();
    const add = vi.spyOn(Deliveries.prototype, 'add').mockRejectedValueOnce(new Error('OOM'));
    onTestFinished(() => add.mockRestore());
    const { job } = await queue.submit(newRequest());
    expect(await queue.get(job.id)).toMatchObject({ status: 'queued' });
    expect(errors).toContain('OOM');
  });
});

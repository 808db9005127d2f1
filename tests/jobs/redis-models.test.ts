import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { JobRequest, JobResult } from '../../src/jobs/job.ts';
import { RedisJobQueue, type RedisQueueOptions } from '../../src/jobs/redis/queue.ts';
import { ModelDir } from '../helpers/model-dir.ts';
import { startProcess } from '../helpers/process.ts';
import { hasRedis, RedisServer } from '../helpers/redis.ts';

const newRequest = (model: string): JobRequest => ({ id: randomUUID(), task: 'sample', fields: { model } });
const result: JobResult = { files: [new Uint8Array(10)], mediaType: 'image/png', answer: { seed: 1 } };

describe.skipIf(!hasRedis)('replicas with different models', () => {
  let redis: RedisServer;
  let number = 0;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.remove());

  /** Replicas of one test, which share what is in Redis. */
  function replicas() {
    const prefix = `{test-${++number}}:`;
    return async (options: Partial<RedisQueueOptions>) => {
      const queue = await RedisJobQueue.connect({
        url: redis.url,
        prefix,
        limit: 50,
        ttlMs: 60_000,
        perform: async () => result,
        describeError: (error) => ({ detail: (error as Error).message }),
        onError: () => {},
        ...options,
      });
      onTestFinished(() => queue.close());
      return queue;
    };
  }
  const status = async (queue: RedisJobQueue, id: string) => (await queue.get(id)).status;

  test('a job waits for the replica that has its model, however long that one is busy', async () => {
    const replica = replicas();
    let finish = () => {};
    const first = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const has = await replica({
      models: () => [{ ref: 'm@8', failed: false }],
      concurrency: 1,
      perform: async () => {
        await first;
        return result;
      },
    });
    const busy = await has.submit(newRequest('m@8'));
    await expect.poll(() => status(has, busy.job.id)).toBe('running');
    let refused = 0;
    const lacks = await replica({
      models: () => [{ ref: 'm@1', failed: false }],
      onUnknownModel: () => refused++,
      modelWaitMs: 0,
    });
    const { job } = await lacks.submit(newRequest('m@8'));
    await expect.poll(() => refused).toBeGreaterThanOrEqual(3);
    expect(await lacks.get(job.id)).toMatchObject({ status: 'queued', startedAt: undefined });
    finish();
    await expect.poll(() => status(lacks, job.id)).toBe('succeeded');
  });

  test('a job fails, with a sentence, when no replica has had its model for long enough', async () => {
    const replica = replicas();
    let refused = 0;
    const queue = await replica({
      models: () => [{ ref: 'm@1', failed: false }],
      onUnknownModel: () => refused++,
      modelWaitMs: 800,
    });
    const { job } = await queue.submit(newRequest('m@8'));
    await expect.poll(() => status(queue, job.id)).toBe('failed');
    expect(refused).toBeGreaterThan(1);
    expect(await queue.get(job.id)).toMatchObject({
      error: { detail: expect.stringMatching(/^no replica has had the model m@8 for \d+ s/) },
    });
  });

  test('a model that cannot be loaded on one replica is left to another', async () => {
    const replica = replicas();
    let attempts = 0;
    const broken = await replica({
      models: () => [{ ref: 'm@8', failed: true }],
      perform: async () => {
        attempts++;
        throw new Error('the file is damaged');
      },
      modelWaitMs: 60_000,
    });
    const { job } = await broken.submit(newRequest('m@8'));
    await expect.poll(() => attempts).toBeGreaterThan(0);
    await replica({ models: () => [{ ref: 'm@8', failed: false }] });
    await expect.poll(() => status(broken, job.id)).toBe('succeeded');
  });

  test('two services: all jobs for a version that only one has succeed', async () => {
    const [both, one] = [await ModelDir.create(), await ModelDir.create()];
    onTestFinished(async () => void (await Promise.all([both.remove(), one.remove()])));
    await both.add('1');
    await both.add('8');
    await one.add('1');
    const env = { REDIS_URL: redis.url, RELOAD_INTERVAL_MS: '0', DEFAULT_MODEL: `${one.id}@1` };
    const [a, b] = [both, one].map(({ root }) => startProcess({ ...env, MODEL_DIR: root }));
    const [urlA, urlB] = [await a.url, await b.url];
    const ids: string[] = [];
    for (let seed = 0; seed < 12; seed++) {
      const answer = await fetch(`${urlA}/v1/jobs`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ task: 'sample', steps: 2, model: `${both.id}@8`, seed }),
      });
      expect(answer.status).toBe(202);
      ids.push(((await answer.json()) as { id: string }).id);
    }
    const ended = async (id: string) => {
      const job = (await (await fetch(`${urlB}/v1/jobs/${id}`)).json()) as { status: string };
      return job.status;
    };
    await expect
      .poll(() => Promise.all(ids.map(ended)), { timeout: 90_000 })
      .toEqual(ids.map(() => 'succeeded'));
  });
});

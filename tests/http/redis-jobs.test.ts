import request from 'supertest';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { hashKey, newKey } from '../../src/config/api-keys.ts';
import { hasRedis, RedisServer } from '../helpers/redis.ts';
import { startFakeApp } from './fake-app.ts';

type Service = Awaited<ReturnType<typeof startFakeApp>>;

describe.skipIf(!hasRedis)('two replicas on one Redis', () => {
  let redis: RedisServer;
  let a: Service;
  let b: Service;
  beforeAll(async () => {
    redis = await RedisServer.start();
    [a, b] = await Promise.all([1, 2].map(() => startFakeApp({ REDIS_URL: redis.url })));
  });
  afterAll(async () => {
    await Promise.all([a, b].map(({ app }) => app.close()));
    await redis.remove();
  });

  const post = (body: object) => request(a.url).post('/v1/jobs').send(body);
  const events = (service: Service, id: string, lastEventId: string) =>
    request(service.url).get(`/v1/jobs/${id}/events`).set('last-event-id', lastEventId).buffer(true);

  test('an EventSource that comes back to a finished job with its last id is told to stop, by any replica', async () => {
    const { body: job } = await post({ task: 'sample', steps: 2 }).expect(202);
    const { text } = await events(a, job.id, '0').expect(200);
    const ids = [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => id);
    expect(text.trim().split('\n\n').at(-1)).toContain('event: result');
    for (const service of [a, b]) {
      expect((await events(service, job.id, ids.at(-1) ?? '')).status).toBe(204);
      const rest = await events(service, job.id, ids.at(-2) ?? '').expect(200);
      expect(rest.text).toContain(`id: ${ids.at(-1)}\nevent: result`);
    }
  });

  test.each([
    ['no id', ''],
    ['the name of another part of a job', ':events'],
  ])('%s is no job', async (_, part) => {
    const { body: job } = await post({ task: 'sample', steps: 1 }).expect(202);
    await events(a, job.id, '0').expect(200); // until it has ended
    const path = `/v1/jobs/${part && job.id + part}`;
    for (const ask of [
      request(a.url).get(path),
      request(a.url).get(`${path}/events`),
      request(a.url).get(`${path}/images/0`),
      request(a.url).delete(path),
    ]) {
      const { status, body } = await ask;
      expect([status, body.type]).toEqual([404, '/problems/unknown-job']);
      expect(body.detail).toMatch(/^there is no job \S.*; finished jobs/);
    }
  });

  test('a count with another window is another count', async () => {
    const [first, second] = [newKey(), newKey()];
    const entry = (key: string, limit: string) => `alice:${hashKey(key).toString('hex')}:${limit}`;
    const API_KEYS = [entry(first, '5/day'), entry(second, '3/second')].join(',');
    const { app, url } = await startFakeApp({ REDIS_URL: redis.url, API_KEYS });
    onTestFinished(() => app.close());
    const ask = (key: string) => request(url).get('/v1/models').set('x-api-key', key).expect(200);
    expect(Number((await ask(first)).headers['ratelimit-reset'])).toBeGreaterThan(60);
    expect(Number((await ask(second)).headers['ratelimit-reset'])).toBeLessThan(60);
  });

  test('every replica reports the same number of waiting jobs', async () => {
    const resume = [a, b].map(({ registry }) => registry.engine.hold());
    const ids: string[] = [];
    // Two replicas with 8 jobs at a time.
    for (let seed = 0; seed < 21; seed++) {
      const { body } = await post({ task: 'sample', steps: 1, seed }).expect(202);
      ids.push(body.id);
    }
    const waiting = async ({ url }: Service) =>
      (await request(url).get('/metrics')).text.match(/^ddpm_inpaint_jobs_waiting (\d+)$/m)?.[1];
    for (const service of [a, b]) await expect.poll(() => waiting(service)).toBe('5');
    for (const go of resume) go();
    for (const service of [a, b]) await expect.poll(() => waiting(service)).toBe('0');
    redis.pause();
    await expect.poll(() => waiting(a)).toBeUndefined();
    redis.resume();
    await expect.poll(() => waiting(a)).toBe('0');
  });
});

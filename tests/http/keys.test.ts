import Fastify from 'fastify';
import request from 'supertest';
import { afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { hashKey, newKey } from '../../src/config/api-keys.ts';
import { readConfig } from '../../src/config/read.ts';
import rateLimit from '../../src/http/plugins/rate-limit.ts';
import { hasRedis, RedisServer } from '../helpers/redis.ts';
import { startFakeApp } from './fake-app.ts';

const alice = newKey();
const bob = newKey();
const entry = (name: string, key: string) => `${name}:${hashKey(key).toString('hex')}`;
const API_KEYS = [entry('alice', alice), entry('bob', bob)].join(',');

type Service = Awaited<ReturnType<typeof startFakeApp>>;
const services: Service[] = [];
async function start(env: Record<string, string>) {
  const service = await startFakeApp(env);
  services.push(service);
  return service;
}
afterEach(async () => {
  for (const { app } of services.splice(0)) await app.close();
});

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

describe('with API_KEYS', () => {
  test('no key, a wrong key and another scheme give 401 with instructions', async () => {
    const { url } = await start({ API_KEYS });
    for (const headers of [{}, bearer(newKey()), { authorization: `Basic ${alice}` }, { 'x-api-key': 'ä' }]) {
      const answer = await request(url).get('/v1/models').set(headers);
      expect(answer.status).toBe(401);
      expect(answer.headers['content-type']).toContain('application/problem+json');
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm=/);
      expect(answer.body).toMatchObject({ type: '/problems/unauthorized' });
    }
    const sent = await request(url).post('/v1/sample').set('x-api-key', 'wrong').send({ steps: 1 });
    expect(sent.headers['www-authenticate']).toContain('invalid_token');
  });

  test('every key is accepted, as a bearer token and as x-api-key', async () => {
    const { url } = await start({ API_KEYS });
    for (const headers of [
      bearer(alice),
      bearer(bob),
      { 'x-api-key': bob },
      { authorization: `bearer ${bob}` },
    ])
      expect((await request(url).post('/v1/sample').set(headers).send({ steps: 1 })).status).toBe(200);
  });

  test('only probes and docs are accessible without a key', async () => {
    const { app, url } = await start({ API_KEYS });
    const { paths = {} } = app.swagger();
    const open: string[] = [];
    for (const [path, methods] of Object.entries(paths)) {
      for (const method of Object.keys(methods ?? {})) {
        const { statusCode } = await app.inject({
          method: method as 'GET',
          url: path.replace(/\{\w+\}/g, '0'),
        });
        if (statusCode !== 401) open.push(`${method} ${path}`);
      }
    }
    expect(open.sort()).toEqual([
      'get /health/live',
      'get /health/ready',
      'get /health/startup',
      'get /v2/health/live',
      'get /v2/health/ready',
    ]);
    for (const path of ['/openapi.json', '/docs/']) expect((await request(url).get(path)).status).toBe(200);
    // Other spellings of a path do not bypass the check.
    for (const path of ['/%761/models', '/v1/models?x=1', '/v1/models#', '/v1/./models'])
      expect((await app.inject({ url: path })).statusCode).not.toBe(200);
  });

  test('a job belongs to the key that created it: for other keys it does not exist', async () => {
    const { url } = await start({ API_KEYS });
    const as = (key: string) => {
      const ask = (method: 'get' | 'delete', path: string) => request(url)[method](path).set(bearer(key));
      const submit = (body: object) =>
        request(url).post('/v1/jobs').set(bearer(key)).set('idempotency-key', 'one').send(body);
      return { ask, submit };
    };
    const { body: job } = await as(alice).submit({ task: 'sample', steps: 2 });
    await expect
      .poll(async () => (await as(alice).ask('get', `/v1/jobs/${job.id}`)).body.status)
      .toBe('succeeded');
    for (const path of ['', '/events', '/images/0']) {
      const { status, body } = await as(bob).ask('get', `/v1/jobs/${job.id}${path}`);
      expect([status, body.type]).toEqual([404, '/problems/unknown-job']);
    }
    expect((await as(bob).ask('delete', `/v1/jobs/${job.id}`)).status).toBe(404);
    expect((await as(bob).ask('get', '/v1/jobs')).body.jobs).toEqual([]);
    const { body: list } = await as(alice).ask('get', '/v1/jobs');
    expect(list.jobs.map(({ id }: { id: string }) => id)).toEqual([job.id]);
    expect(JSON.stringify(list)).not.toContain('alice'); // the owner is not disclosed
    const other = await as(bob).submit({ task: 'sample', steps: 3 }); // same Idempotency-Key, other owner: another job
    expect(other.status).toBe(202);
    expect((await as(alice).submit({ task: 'sample', steps: 2 })).body.id).toBe(job.id);
  });
});

describe('RATE_LIMIT', () => {
  const models = (url: string, headers = {}) => request(url).get('/v1/models').set(headers);

  test('counts per key, answers 429 with Retry-After beyond the limit, and never refuses probes', async () => {
    const { url } = await start({ API_KEYS: `${API_KEYS}:4/hour`, RATE_LIMIT: '2/hour' });
    const first = await models(url, bearer(alice));
    expect(first.headers).toMatchObject({ 'ratelimit-limit': '2', 'ratelimit-remaining': '1' });
    await models(url, bearer(alice));
    const { status, body, headers } = await models(url, bearer(alice));
    expect([status, body.type]).toEqual([429, '/problems/rate-limited']);
    expect(headers['content-type']).toContain('application/problem+json');
    expect(Number(headers['retry-after'])).toBeGreaterThan(3000);
    expect(headers['ratelimit-remaining']).toBe('0');
    const others = await Promise.all(Array.from({ length: 5 }, () => models(url, bearer(bob)))); // this key has its own limit
    expect(others.map((answer) => answer.status).sort()).toEqual([200, 200, 200, 200, 429]);
    for (let i = 0; i < 5; i++) expect((await request(url).get('/health/live')).status).toBe(200);
  });

  test('counts per address if there are no keys, and trusts forwarded addresses only from trusted proxies', async () => {
    const from = (url: string, address: string) => models(url, { 'x-forwarded-for': address });
    const direct = await start({ RATE_LIMIT: '1/hour' });
    expect((await from(direct.url, '192.0.2.1')).status).toBe(200);
    expect((await from(direct.url, '192.0.2.2')).status).toBe(429);
    const proxied = await start({ RATE_LIMIT: '1/hour', TRUST_PROXY: 'loopback' });
    expect((await from(proxied.url, '192.0.2.1')).status).toBe(200);
    expect((await from(proxied.url, '192.0.2.2')).status).toBe(200);
    expect((await from(proxied.url, '192.0.2.9, 192.0.2.2')).status).toBe(429); // an entry added by the client is ignored
    expect((await from(proxied.url, '2001:db8::1')).status).toBe(200);
    expect((await from(proxied.url, '2001:db8::2')).status).toBe(429); // the same /64 network
  });

  describe.skipIf(!hasRedis)('on Redis', () => {
    let redis: RedisServer;
    beforeAll(async () => {
      redis = await RedisServer.start();
      return () => redis.remove();
    });

    test('counts over all replicas, and refuses nobody while Redis is unavailable', async () => {
      const config = readConfig({ RATE_LIMIT: '3/hour', REDIS_URL: redis.url });
      const replica = async () => {
        const app = Fastify();
        onTestFinished(() => app.close());
        await app.register(rateLimit, { config });
        app.get('/v1/models', () => 'models');
        const remaining = async () => Number((await app.inject('/v1/models')).headers['ratelimit-remaining']);
        /** The limit that remains after the first counted request. None is counted before Redis is connected. */
        const connected = async () => {
          let left = 3;
          await expect
            .poll(async () => {
              left = await remaining();
              return left;
            })
            .toBeLessThan(3);
          return left;
        };
        return { connected, status: async () => (await app.inject('/v1/models')).statusCode };
      };
      const [one, two] = [await replica(), await replica()];
      expect([await one.connected(), await two.connected()]).toEqual([2, 1]);
      expect([await one.status(), await two.status(), await one.status()]).toEqual([200, 429, 429]);
      await redis.stop();
      expect([await one.status(), await two.status()]).toEqual([200, 200]);
      await redis.start();
    });

    test('jobs in Redis have owners too', async () => {
      const { url } = await start({ REDIS_URL: redis.url, API_KEYS });
      const submit = (key: string) =>
        request(url)
          .post('/v1/jobs')
          .set(bearer(key))
          .set('idempotency-key', 'two')
          .send({ task: 'sample', steps: 1, seed: 1 });
      const { body: job } = await submit(alice);
      expect((await submit(alice)).body.id).toBe(job.id);
      expect((await submit(bob)).body.id).not.toBe(job.id);
      expect((await request(url).get(`/v1/jobs/${job.id}`).set(bearer(bob))).status).toBe(404);
      const { body } = await request(url).get('/v1/jobs').set(bearer(alice));
      expect(body.jobs.map(({ id }: { id: string }) => id)).toEqual([job.id]);
    });
  });
});

describe('invalid settings prevent the start, with an error message that contains no key', () => {
  const hash = 'ab'.repeat(32);
  test.each([
    [alice, /entry 1 of 1 is invalid/],
    [`alice:${alice}`, /entry 1 of 1 is invalid/],
    [`alice:${hash},${alice}`, /entry 2 of 2 is invalid/],
    [`alice:${hash},bob:${hash}`, /entry 2 repeats the hash of an earlier entry/],
    [`alice:${hash}:60`, /entry 1 of 1 is invalid/],
    [`alice:${hash}:0/minute`, /entry 1 of 1 is invalid/],
    [',', /entry 1 of 2 is invalid/],
  ])('API_KEYS=%s', (API_KEYS, sentence) => {
    expect(() => readConfig({ API_KEYS })).toThrow(sentence);
    expect(() => readConfig({ API_KEYS })).not.toThrow(new RegExp(`${alice}|${hash}`));
  });

  test.each([
    [{ RATE_LIMIT: '60' }, /RATE_LIMIT is '60'; it must be like 60\/minute/],
    [{ RATE_LIMIT: '0/minute' }, /must be like/],
    [{ TRUST_PROXY: '1' }, /TRUST_PROXY is '1'; it must be addresses or networks/],
    [{ TRUST_PROXY: '10.0.0.0/33' }, /TRUST_PROXY/],
    [{ TRUST_PROXY: '10.0.0.0/' }, /TRUST_PROXY/],
  ])('%j', (env, sentence) => {
    expect(() => readConfig(env)).toThrow(sentence);
  });

  test.each(['loopback', '10.0.0.0/8, 192.168.1.1', 'fd00::/8'])('TRUST_PROXY=%s is valid', (TRUST_PROXY) => {
    expect(readConfig({ TRUST_PROXY }).TRUST_PROXY).toEqual(TRUST_PROXY.split(', '));
  });
});

import { Redis } from 'ioredis';
import request from 'supertest';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { hashKey, newKey } from '../../src/config/api-keys.ts';
import { createLog, redactor } from '../../src/log.ts';
import { maskOf, pngOf } from '../helpers/app.ts';
import { startProcess } from '../helpers/process.ts';
import { hasRedis, RedisServer } from '../helpers/redis.ts';
import { startFakeApp } from './fake-app.ts';

const key = newKey();
const API_KEYS = `alice:${hashKey(key).toString('hex')}`;

describe('one line per request', () => {
  let service: Awaited<ReturnType<typeof startFakeApp>>;
  beforeEach(async () => {
    service = await startFakeApp({ API_KEYS, LOG_LEVEL: 'debug' });
  });
  afterEach(() => service.app.close());

  const lines = (path: string) =>
    service.log.filter(({ msg, level }) => level >= 30 && msg.split(' ')[1] === path);
  const post = (path: string, id: string) =>
    request(service.url).post(path).set({ 'x-api-key': key, 'x-request-id': id });

  test('contains the client, the request, its outcome and all parameters to repeat it', async () => {
    const body = { seed: 7, steps: 2, sampler: 'ddim', num_images: 2 };
    await post('/v1/sample?note=private', 'one').send(body).expect(200);
    await expect.poll(() => lines('/v1/sample')).toHaveLength(1);
    expect(lines('/v1/sample')[0]).toMatchObject({
      request_id: 'one',
      method: 'POST',
      route: '/v1/sample',
      status: 200,
      ms: expect.any(Number),
      key: 'alice',
      model: 'fake@1',
      seed: 7,
      sampler: 'ddim',
      steps: 2,
      num_images: 2,
      precision: 'fp32',
      timings_ms: { denoise: expect.any(Number) },
    });
    expect(JSON.stringify(service.log)).not.toContain('private');
  });

  test('of a refused request contains the problem and the parameters parsed so far', async () => {
    const image = Buffer.from('no picture');
    await post('/v1/inpaint', 'two').field('seed', 3).attach('image', image, 'my-holiday.png').expect(415);
    await expect.poll(() => lines('/v1/inpaint')).toHaveLength(1);
    expect(lines('/v1/inpaint')[0]).toMatchObject({ status: 415, problem: 'unsupported-picture', seed: 3 });
    await request(service.url).get('/v1/models/fake').expect(401);
    await expect.poll(() => lines('/v1/models/fake')).toHaveLength(1);
    expect(lines('/v1/models/fake')[0]).toMatchObject({ route: '/v1/models/:id', problem: 'unauthorized' });
    expect(JSON.stringify(service.log)).not.toContain('my-holiday');
  });

  test('of a stream that ends with an error contains the error, although its status is 200', async () => {
    service.registry.engine.failing = true;
    await post('/v1/sample', 'three').set('accept', 'text/event-stream').send({ steps: 1 }).expect(200);
    await expect.poll(() => lines('/v1/sample')).toHaveLength(1);
    expect(lines('/v1/sample')[0]).toMatchObject({ status: 200, problem: 'engine-failure' });
  });

  test('of a job request contains the id of the job', async () => {
    const { body } = await post('/v1/jobs', 'four').send({ task: 'sample', steps: 1 }).expect(202);
    await expect.poll(() => lines('/v1/jobs')).toHaveLength(1);
    expect(lines('/v1/jobs')[0]).toMatchObject({ status: 202, task: 'sample', job: body.id, steps: 1 });
  });

  test('of probes and scrapes is logged at debug level', async () => {
    await request(service.url).get('/health/live').expect(200);
    await request(service.url).get('/metrics').set('x-api-key', key).expect(200);
    await expect
      .poll(() => service.log.filter(({ level }) => level === 20).map(({ route }) => route))
      .toEqual(['/health/live', '/metrics']);
    expect(lines('/health/live')).toEqual([]);
  });

  test.each(['/healthz', '/metrics-old'])('of the unknown path %s is not taken for a probe', async (path) => {
    await request(service.url).get(path).expect(404);
    await expect.poll(() => lines(path)).toMatchObject([{ status: 404, problem: 'not-found' }]);
  });
});

test('a logged error has its type, message, code, stack and cause, and no secrets', () => {
  const lines: string[] = [];
  const log = createLog('info', redactor(['pa"ss/word']), { write: (line) => void lines.push(line) });
  const cause = Object.assign(new TypeError('for pa"ss/word'), { command: { args: ['a picture'] } });
  const err = Object.assign(new Error(`at pa%22ss%2Fword with ${key}`, { cause }), { code: 'EAUTH' });
  log.error({ err, url: 'redis://:pa"ss/word@host' }, 'pa"ss/word');
  log.error({ err: 'just a text' }, 'thrown');
  expect(JSON.parse(lines[0])).toMatchObject({
    msg: '***',
    url: 'redis://:***@host',
    err: {
      type: 'Error',
      message: 'at *** with ***',
      code: 'EAUTH',
      cause: { type: 'TypeError', message: 'for ***' },
    },
  });
  expect(lines.join()).not.toContain('a picture');
  expect(JSON.parse(lines[1])).toMatchObject({ err: { type: 'string', message: "'just a text'" } });
});

test.skipIf(!hasRedis)('the log contains no secrets, even at trace level and during failures', async () => {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.remove());
  const password = 'horse-battery-staple';
  const admin = new Redis(redis.url);
  await admin.config('SET', 'requirepass', password);
  const secret = 'whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0';
  const { child, output, ...service } = startProcess({
    LOG_LEVEL: 'trace',
    DEVICE: 'cpu',
    API_KEYS,
    REDIS_URL: redis.url.replace('//', `//:${password}@`),
    RATE_LIMIT: '100/minute',
    WEBHOOK_ORIGINS: 'http://127.0.0.1:1',
    WEBHOOK_SECRET: secret,
  });
  const url = await service.url;
  const [image, mask] = [await pngOf(64, 64), await maskOf(64, 64)];
  const fields = { image: image.toString('base64'), mask: mask.toString('base64'), steps: 2 };
  const as = (presented: string) => ({ authorization: `Bearer ${presented}` });
  const post = (path: string, body: object) => request(url).post(path).set(as(key)).send(body);
  const answers = [
    await post('/v1/inpaint', fields),
    await post('/v1/jobs', { ...fields, webhook: `http://127.0.0.1:1/?token=${key}` }),
    await request(url).get(`/v1/models/${key}?api_key=${key}`).set(as(key)),
    await request(url).get('/v1/models').set(as('a-mistyped-key')),
    await request(url)
      .post('/v1/inpaint')
      .set({ ...as(key), 'x-api-key': 'an-older-key', cookie: 'session=a-cookie' })
      .field('steps', 2)
      .attach('image', image, 'image.png')
      .attach('mask', mask, 'mask.png'),
  ];
  expect(answers.map(({ status }) => status)).toEqual([200, 202, 404, 401, 200]);
  await expect
    .poll(async () => (await request(url).get('/v1/jobs').set(as(key))).body.jobs[0].status)
    .toBe('succeeded');
  // Close all connections and reject new ones, because the errors of ioredis contain the failed commands.
  await admin.config('SET', 'requirepass', 'another');
  await admin.client('KILL', 'TYPE', 'normal');
  await expect.poll(() => output.text).toMatch(/WRONGPASS|NOAUTH/);
  expect((await post('/v1/jobs', fields)).status).toBe(503);
  admin.disconnect();
  child.kill('SIGKILL');

  const secrets = [
    key,
    password,
    secret,
    API_KEYS.split(':')[1],
    'a-mistyped-key',
    'an-older-key',
    'a-cookie',
    fields.image.slice(0, 40),
  ];
  for (const each of secrets) expect(output.text).not.toContain(each);
  const written = output.stdout.trim().split('\n');
  for (const line of written) expect(() => JSON.parse(line), line).not.toThrow();
});

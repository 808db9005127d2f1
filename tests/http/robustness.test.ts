import { once } from 'node:events';
import { createConnection } from 'node:net';
import request from 'supertest';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { maskOf, pngOf } from '../helpers/app.ts';
import { readMetadata } from '../helpers/metadata.ts';
import { startFakeApp } from './fake-app.ts';

const MAX_UPLOAD_BYTES = 100_000;
const ERROR = 50; // level in pino
let service: Awaited<ReturnType<typeof startFakeApp>>;
beforeEach(async () => {
  service = await startFakeApp({ MAX_UPLOAD_BYTES: String(MAX_UPLOAD_BYTES), MAX_SIDE: '20000' });
});
afterEach(async () => {
  vi.useRealTimers();
  service.registry.engine.resume();
  await service.app.close();
});

const disconnects = async () => (await service.metrics.disconnects.get()).values[0].value;
const errors = () => service.log.filter(({ level }) => level >= ERROR);
const fields = async () => ({
  image: (await pngOf(64, 64)).toString('base64'),
  mask: (await maskOf(64, 64)).toString('base64'),
});

/**
 * Sends bytes, then reads, and resolves to everything received until the connection ends. The client disconnects when
 * `until` resolves, or when what it has received matches `until`; without it, the service closes the connection.
 */
function raw(bytes: string, until?: RegExp | Promise<unknown>): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = createConnection({ port: service.port, host: '127.0.0.1' });
    socket.pause();
    socket.write(bytes, () => {
      socket.resume();
      if (until instanceof Promise) void until.finally(() => socket.destroy());
    });
    socket.on('data', (data) => {
      answer += data;
      if (until instanceof RegExp && until.test(answer)) socket.destroy();
    });
    socket.on('error', (error) => {
      answer += error.message;
    });
    socket.on('close', () => resolve(answer));
  });
}

const post = (body: string, length = body.length) =>
  `POST /v1/inpaint HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n${body}`;

describe('a client that disconnects', () => {
  test('during its upload: counted once, no error in the log', async () => {
    await raw(post('{"image": "', 5000), once(service.app.server, 'request'));
    await expect.poll(disconnects).toBe(1);
    expect(errors()).toEqual([]);
  });

  test('while its request runs: its place is free at the next step, no error in the log', async () => {
    const { engine, scheduler } = service.registry;
    const resume = engine.hold();
    await raw(post(JSON.stringify({ ...(await fields()), steps: 100 })), engine.blocked);
    await expect.poll(disconnects).toBe(1);
    await expect.poll(() => scheduler.depth).toEqual({ waiting: 0, active: 0 });
    resume();
    await request(service.url).post('/v1/sample').send({ steps: 1 }).expect(200);
    expect(engine.tookMs).toHaveLength(2); // one of the hundred steps, and one of the next request
    expect(errors()).toEqual([]);
  });

  test('immediately after sending its request: nothing stays in the queue', async () => {
    const body = post(JSON.stringify({ ...(await fields()), steps: 100 }));
    const resume = service.registry.engine.hold(); // what is answered within 2 s is not counted
    await Promise.all(Array.from({ length: 4 }, () => raw(body, Promise.resolve())));
    await expect.poll(disconnects).toBe(4);
    resume();
    // Pictures are decoded in turn: by the time the next request is answered, the earlier ones would be running.
    await request(service.url)
      .post('/v1/inpaint')
      .send({ ...(await fields()), steps: 1 })
      .expect(200);
    expect(service.registry.scheduler.depth).toEqual({ waiting: 0, active: 0 });
    expect(errors()).toEqual([]);
  });
});

describe('a body beyond the limit', () => {
  test('is answered even if the client reads nothing before it has sent everything', async () => {
    const piece = 'A'.repeat(10_000);
    const pieces = `${piece.length.toString(16)}\r\n${piece}\r\n`.repeat(300);
    const head = 'POST /v1/inpaint HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
    const tooLarge = /^HTTP\/1.1 413 .*upload-too-large/s;
    const chunked = await raw(`${head}transfer-encoding: chunked\r\n\r\n${pieces}0\r\n\r\n`, tooLarge);
    expect(chunked).toMatch(tooLarge);
    const announced = await raw(`${head}content-length: 3000000\r\n\r\n${'A'.repeat(3_000_000)}`, tooLarge);
    expect(announced).toMatch(tooLarge);
  });

  test('that never ends does not keep the connection open', async () => {
    const answer = await raw(post('A', 10_000_000)); // resolves when the service closes it
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
  });
});

describe('form parts without a name', () => {
  test.each([
    ['no content-disposition', 'x: y', 'image'],
    ['content-disposition without a name', 'content-disposition: form-data', 'no name'],
  ])('%s: the form is read to its end', async (_what, head, said) => {
    const body = `--b\r\n${head}\r\n\r\n${'A'.repeat(50_000)}\r\n--b--\r\n`;
    const type = 'content-type: multipart/form-data; boundary=b';
    const answer = await raw(
      `POST /v1/inpaint HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${type}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(answer).toContain(said);
  });
});

test('an unknown expectation and an OPTIONS request that is not a preflight are accepted', async () => {
  const expecting = 'GET /v1/models HTTP/1.1\r\nhost: x\r\nexpect: nothing\r\nconnection: close\r\n\r\n';
  expect(await raw(expecting)).toMatch(/^HTTP\/1.1 200 .*x-request-id/s);
  expect((await request(service.url).options('/v1/inpaint')).status).toBe(204);
});

describe('problems before a route is reached', () => {
  test.each([
    ['not HTTP', 'GARBAGE\r\n\r\n', 400, 'invalid-request'],
    [
      'headers without end',
      `GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`,
      431,
      'headers-too-large',
    ],
    ['no Host header', 'GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'invalid-request'],
  ])('invalid request: %s', async (_what, bytes, status, slug) => {
    const answer = await raw(bytes);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} .*application/problem\\+json`, 's'));
    expect(answer).toContain('x-request-id: ');
    expect(answer).toContain(`/problems/${slug}`);
  });

  test.each([
    ['a path with invalid escapes', '/v1/models/%zz', 400, 'invalid-request'],
    ['a very long name', `/v1/models/${'a'.repeat(200)}`, 404, 'not-found'],
    ['an unknown path', '/nothing', 404, 'not-found'],
    ['no name of a model', '/v1/models/', 404, 'unknown-model'],
    ['no id of a job', '/v1/jobs/', 404, 'unknown-job'],
    ['no id of a job whose picture is asked for', '/v1/jobs//images/0', 404, 'unknown-job'],
    ['no index of a picture', '/v1/jobs/x/images/', 400, 'invalid-request'],
    ['a space as the index of a picture', '/v1/jobs/x/images/%20', 400, 'invalid-request'],
  ])('%s', async (_what, path, status, slug) => {
    const { status: got, body, headers } = await request(service.url).get(path);
    expect({ got, type: body.type }).toEqual({ got: status, type: `/problems/${slug}` });
    expect(headers['content-type']).toContain('application/problem+json');
    expect(headers['x-request-id']).toBeTruthy();
  });

  test('no name of a model in a path of the Open Inference Protocol', async () => {
    for (const path of ['/v2/models/', '/v2/models//ready', '/v2/models/fake/versions/'])
      expect((await request(service.url).get(path)).status, path).toBe(404);
  });

  test('a method that a path with a parameter does not support', async () => {
    const { status, headers } = await request(service.url).post('/v1/models/fake');
    expect(status).toBe(405);
    expect(headers.allow).toContain('GET');
  });

  test.each([
    ['QUERY', {}],
    ['QUERY', { 'content-type': 'text/plain' }],
    ['PUT', { 'content-type': 'nonsense' }],
  ])('a method that no path supports, whatever its body: %s %j', async (method, headers) => {
    const answer = await fetch(`${service.url}/v1/models`, { method, headers, body: 'x' });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  test.each([
    ['a range past the end of a file', { range: 'bytes=99999999-' }, 416, 'range-not-satisfiable'],
    ['a file that is another one by now', { 'if-match': '"x"' }, 412, 'precondition-failed'],
  ])('%s', async (_what, headers, status, slug) => {
    const answer = await fetch(`${service.url}/docs/static/index.css`, { headers });
    const { type } = (await answer.json()) as { type: string };
    expect([answer.status, type]).toEqual([status, `/problems/${slug}`]);
  });

  test('a path out of a folder of files is not found', async () => {
    const path = 'GET /docs/static/%2e%2e/index.html HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';
    expect(await raw(path)).toMatch(/^HTTP\/1.1 404 .*\/problems\/not-found/s);
  });

  test('the methods of a path with a trailing slash, which has GET too', async () => {
    const answer = await fetch(`${service.url}/docs/`, { method: 'POST' });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'HEAD, GET']);
  });

  test('a body of a type that no parser knows, on a path that takes none: no type is asked for', async () => {
    const init = { method: 'DELETE', body: 'x', headers: { 'content-type': 'text/plain' } };
    const answer = await fetch(`${service.url}/v1/jobs/${crypto.randomUUID()}`, init);
    const { detail } = (await answer.json()) as { detail: string };
    expect([answer.status, detail]).toEqual([415, 'the path takes no body of this content type']);
  });

  test('HEAD of a stream of events, which would follow the job without a client', async () => {
    const { body: job } = await request(service.url).post('/v1/jobs').send({ task: 'sample', steps: 1 });
    const answer = await fetch(service.url + job.events, { method: 'HEAD' });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET']);
  });
});

describe('readiness', () => {
  const sample = () => request(service.url).post('/v1/sample').send({ steps: 1 });

  test('a failing engine gives 500, or 503 with Retry-After while the service is not ready', async () => {
    service.registry.engine.failing = true;
    const failed = await sample();
    expect(failed.body).toMatchObject({ status: 500, type: '/problems/engine-failure' });
    expect(JSON.stringify(failed.body)).not.toContain('nothing a client should read');
    service.registry.engine.delayMs = 100;
    const pending = sample().then((answer) => answer);
    await expect.poll(() => service.registry.scheduler.depth.active).toBe(1);
    service.registry.notReadyReason = 'fake@1 has no worker alive';
    const { body, headers } = await pending;
    expect(body).toMatchObject({ status: 503, type: '/problems/not-ready' });
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
  });

  test('while draining, requests are refused with an id and the connection is closed; the probe has Retry-After', async () => {
    service.app.draining = true;
    const { status, headers } = await sample();
    expect(status).toBe(503);
    expect(headers).toMatchObject({ connection: 'close', 'x-request-id': expect.any(String) });
    expect((await request(service.url).get('/health/ready')).headers['retry-after']).toBeTruthy();
  });
});

test('a scrape as OpenMetrics does not change the names in the next text scrape', async () => {
  const scrape = (accept: string) => request(service.url).get('/metrics').set('accept', accept).buffer(true);
  const openMetrics = await scrape('application/openmetrics-text');
  expect(openMetrics.text).toContain('# TYPE ddpm_inpaint_client_disconnects counter');
  expect((await scrape('text/plain')).text).toContain('# TYPE ddpm_inpaint_client_disconnects_total counter');
});

describe('details of the API', () => {
  test('the metadata of a PNG contains everything needed to reproduce it', async () => {
    const parameters = { seed: 7, strategy: 'crop', padding: 3, mask_blur: 2, sampler: 'ddpm', steps: 5 };
    const answer = await request(service.url)
      .post('/v1/inpaint')
      .send({ ...(await fields()), ...parameters })
      .buffer(true);
    expect(await readMetadata(answer.body)).toMatchObject({ model: 'fake@1', candidate: 0, ...parameters });
  });

  test('base64 with line breaks is accepted', async () => {
    const { image, mask } = await fields();
    const lines = image.replace(/.{76}/g, '$&\r\n');
    expect((await request(service.url).post('/v1/inpaint').send({ image: lines, mask })).status).toBe(200);
  });

  test('a picture too large for the format is an invalid parameter', async () => {
    const form = request(service.url)
      .post('/v1/inpaint')
      .attach('image', await pngOf(20_000, 1), 'i.png')
      .attach('mask', await maskOf(20_000, 1), 'm.png')
      .field('format', 'webp');
    const { body } = await form;
    expect(body).toMatchObject({ status: 400, errors: [{ pointer: '#/format' }] });
  });

  test('default timesteps are valid for models with few timesteps', async () => {
    const { image } = await fields();
    const { body } = await request(service.url)
      .post('/v1/diffuse')
      .set('accept', 'application/json')
      .send({ image });
    expect(body.images.map(({ timestep }: { timestep: number }) => timestep)).toEqual([0, 25, 50, 74, 99]);
  });
});

test('closing waits for running jobs, longer than the default plugin timeout of Fastify (10 s)', async () => {
  const { engine, scheduler } = service.registry;
  const resume = engine.hold();
  await request(service.url).post('/v1/jobs').send({ task: 'sample', steps: 4 }).expect(202);
  await engine.blocked;
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  const closed = vi.fn();
  const closing = service.app.close().finally(closed);
  for (let second = 0; second < 30; second++) await vi.advanceTimersByTimeAsync(1000);
  expect(closed).not.toHaveBeenCalled();
  vi.useRealTimers();
  resume();
  await closing;
  expect(scheduler.depth).toEqual({ waiting: 0, active: 0 });
});

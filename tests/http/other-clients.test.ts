import { once } from 'node:events';
import { createConnection } from 'node:net';
import { gzipSync } from 'node:zlib';
import request from 'supertest';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { maskOf, pngOf } from '../helpers/app.ts';
import { startFakeApp } from './fake-app.ts';

const MAX_UPLOAD_BYTES = 200_000;
let service: Awaited<ReturnType<typeof startFakeApp>>;
let image: Buffer;
let mask: Buffer;
beforeAll(async () => {
  service = await startFakeApp({ MAX_UPLOAD_BYTES: String(MAX_UPLOAD_BYTES) });
  image = await pngOf(64, 64);
  mask = await maskOf(64, 64);
});
afterEach(() => service.registry.engine.resume());
afterAll(() => service.app.close());

const post = (path = '/v1/inpaint') => request(service.url).post(path);

type Part = [name: string, value: string | Buffer, filename?: string];
/** A form exactly as given; supertest would not send an empty filename. */
function sendForm(path: string, parts: Part[], preamble = '') {
  const pieces = parts.flatMap(([name, value, filename]) => {
    const file = filename === undefined ? '' : `; filename="${filename}"`;
    const type = filename === undefined ? '' : 'content-type: application/octet-stream\r\n';
    const head = `--XbX\r\ncontent-disposition: form-data; name="${name}"${file}\r\n${type}\r\n`;
    return [Buffer.from(head), Buffer.from(value), Buffer.from('\r\n')];
  });
  const body = Buffer.concat([Buffer.from(preamble), ...pieces, Buffer.from('--XbX--\r\n')]);
  return post(path).set('content-type', 'multipart/form-data; boundary=XbX').send(body);
}

describe('absent, spelled differently', () => {
  const OPTIONAL = {
    model: '',
    seed: '',
    num_images: '',
    sampler: '',
    steps: '',
    eta: '',
    preview_every: '',
    priority: '',
    strategy: '',
    padding: '',
    mask_blur: '',
    format: '',
    quality: '',
  };
  const blank: Part[] = Object.keys(OPTIONAL).map((name) => [name, name === 'seed' ? ' ' : '']);
  const nothing = Object.fromEntries(Object.keys(OPTIONAL).map((name) => [name, null]));
  const base64 = () => ({ image: image.toString('base64'), mask: mask.toString('base64') });

  test('an empty field of a form, on every route', async () => {
    const files: Part[] = [
      ['image', image, 'a.png'],
      ['mask', mask, 'b.png'],
    ];
    expect((await sendForm('/v1/inpaint', [...files, ...blank])).status).toBe(200);
    expect((await sendForm('/v1/jobs', [...files, ...blank, ['task', ''], ['webhook', '']])).status).toBe(
      202,
    );
    const diffusing = ['timesteps', 'model', 'seed', 'format', 'quality'].map((name): Part => [name, '']);
    expect((await sendForm('/v1/diffuse', [files[0], ...diffusing])).status).toBe(200);
  });

  test('null in JSON, on every route', async () => {
    expect((await post().send({ ...base64(), ...nothing })).status).toBe(200);
    expect((await post('/v1/jobs').send({ ...base64(), ...nothing, task: null, webhook: null })).status).toBe(
      202,
    );
    const { image } = base64();
    const diffusing = { timesteps: null, model: null, seed: null, format: null, quality: null };
    expect((await post('/v1/diffuse').send({ image, ...diffusing })).status).toBe(200);
    const { strategy, padding, mask_blur, ...sampling } = nothing;
    expect((await post('/v1/sample').send(sampling)).status).toBe(200);
  });

  test('an empty value in a query', async () => {
    expect((await request(service.url).get('/v1/jobs?status=&limit=')).status).toBe(200);
    expect((await request(service.url).get('/v1/jobs?limit=0')).status).toBe(400);
  });

  test('a file input without a file', async () => {
    const { body } = await sendForm('/v1/inpaint', [
      ['image', image, 'a.png'],
      ['mask', '', ''],
    ]);
    expect(body).toMatchObject({ type: '/problems/empty-mask' }); // as without a mask: the image has no transparent pixels
    const sampling: Part[] = [
      ['task', 'sample'],
      ['image', '', ''],
      ['mask', '', ''],
    ];
    expect((await sendForm('/v1/jobs', sampling)).status).toBe(202);
  });

  test('a named file of 0 bytes, a missing picture and an unknown field are errors', async () => {
    const named = await sendForm('/v1/inpaint', [
      ['image', image, 'a.png'],
      ['mask', '', 'b.png'],
    ]);
    expect(named.body).toMatchObject({ type: '/problems/unreadable-picture' });
    const missing = await sendForm('/v1/inpaint', [['image', '', '']]);
    expect(missing.body.errors).toMatchObject([{ pointer: '#/image' }]);
    expect((await post().send({ image: null })).body.errors).toMatchObject([{ pointer: '#/image' }]);
    const files: Part[] = [
      ['image', image, 'a.png'],
      ['mask', mask, 'b.png'],
    ];
    expect((await sendForm('/v1/inpaint', [...files, ['stepps', '']])).status).toBe(400);
    expect((await post().send({ ...base64(), stepps: null })).status).toBe(400);
  });
});

describe('headers about the body', () => {
  test('DELETE with a content type and no body', async () => {
    for (const type of ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      const { body } = await post('/v1/jobs').send({ task: 'sample', steps: 1 });
      const { status } = await request(service.url).delete(`/v1/jobs/${body.id}`).set('content-type', type);
      expect({ type, status }).toEqual({ type, status: 200 });
    }
  });

  test('a compressed body is refused by the name of the header', async () => {
    const answer = await post('/v1/sample')
      .set('content-type', 'application/json')
      .set('content-encoding', 'gzip')
      .serialize((body) => body)
      .send(gzipSync('{}') as never);
    expect(answer.status).toBe(415);
    expect(answer.body.detail).toContain('content-encoding gzip');
    expect(answer.headers['accept-encoding']).toBe('identity');
    expect((await post('/v1/sample').set('content-encoding', 'identity').send({ steps: 1 })).status).toBe(
      200,
    );
  });

  test('multipart without a boundary', async () => {
    for (const type of ['multipart/form-data', 'multipart/form-data; charset=utf-8']) {
      const { status, body } = await post().set('content-type', type).send('--x--');
      expect(status).toBe(400);
      expect(body.detail).toContain('has no boundary');
    }
    const quoted = await post()
      .set('content-type', 'multipart/form-data; boundary="a b"')
      .send('--a b--\r\n');
    expect(quoted.body.detail).toContain('image');
  });
});

test.each([
  ['before its first part', `${'x'.repeat(MAX_UPLOAD_BYTES)}\r\n--XbX--\r\n`],
  ['after its last part', `--XbX--\r\n${'x'.repeat(MAX_UPLOAD_BYTES)}`],
])('bytes of a form count %s', async (_where, body) => {
  const socket = createConnection({ port: service.port, host: '127.0.0.1' });
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  socket.on('error', () => {});
  socket.write(
    'POST /v1/inpaint HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n' +
      'content-type: multipart/form-data; boundary=XbX\r\n\r\n' +
      `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
  );
  await expect.poll(() => answer).toContain('HTTP/1.1 ');
  expect(answer).toContain('upload-too-large');
  socket.destroy();
});

describe('a client that half-closes after its request', () => {
  const body = JSON.stringify({ steps: 1 });
  const head = 'POST /v1/sample HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
  const sample = (accept: string) =>
    `${head}accept: ${accept}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

  test.each(['application/json', 'text/event-stream'])('gets its answer as %s', async (accept) => {
    const resume = service.registry.engine.hold();
    const socket = createConnection({ port: service.port, host: '127.0.0.1', allowHalfOpen: true });
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    const ended = once(service.app.server, 'request').then(([request]) => once(request.socket, 'end'));
    socket.end(sample(accept));
    await ended;
    resume();
    await once(socket, 'end');
    expect(answer).toContain('HTTP/1.1 200 ');
    expect(answer).toContain('"images":');
  });

  test('a client that closes its connection is noticed, though its FIN looks the same', async () => {
    const before = (await service.metrics.disconnects.get()).values[0].value;
    const { engine, scheduler } = service.registry;
    engine.hold();
    for (const accept of ['application/json', 'text/event-stream']) {
      const socket = createConnection({ port: service.port, host: '127.0.0.1' });
      socket.write(sample(accept));
      await engine.blocked;
      await expect.poll(() => scheduler.depth.active + scheduler.depth.waiting).toBeGreaterThan(0);
      socket.destroy();
      const disconnects = async () => (await service.metrics.disconnects.get()).values[0].value - before;
      await expect.poll(disconnects).toBe(accept === 'application/json' ? 1 : 2);
    }
    engine.resume();
    await expect.poll(() => scheduler.depth).toEqual({ waiting: 0, active: 0 });
  });
});

test('many requests on one connection leave no listeners behind', async () => {
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on('warning', note);
  const socket = createConnection({ port: service.port, host: '127.0.0.1' });
  let answers = '';
  socket.on('data', (data) => {
    answers += data;
  });
  for (let sent = 8; sent <= 32; sent += 8) {
    socket.write('GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(8));
    await expect.poll(() => answers.match(/HTTP\/1.1 200/g)?.length).toBe(sent);
  }
  socket.destroy();
  process.off('warning', note);
  expect(warnings).toEqual([]);
});

test('an EventSource that returns to a finished job is told to stop', async () => {
  const { body: job } = await post('/v1/jobs').send({ task: 'sample', steps: 1 });
  const events = `${service.url}${job.events}`;
  const all = await (await fetch(events)).text();
  const last = Number(
    all
      .match(/id: (\d+)\n/g)
      ?.at(-1)
      ?.slice(4),
  );
  expect((await fetch(events, { headers: { 'last-event-id': String(last - 1) } })).status).toBe(200);
  const odd = await fetch(events, { headers: { 'last-event-id': 'abc' } });
  expect(odd.status).toBe(400);
  expect(await odd.json()).toMatchObject({ detail: expect.stringMatching(/must be the id of an event/) });
  const again = await fetch(events, { headers: { 'last-event-id': String(last) } });
  expect(again.status).toBe(204);
  expect(await again.text()).toBe('');
});

import { once } from 'node:events';
import { createConnection } from 'node:net';
import sharp from 'sharp';
import request from 'supertest';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { maskOf, pngOf, rgb, startApp, type TestApp } from '../helpers/app.ts';

const MAX_UPLOAD_BYTES = 300_000;
let service: TestApp;
let image: Buffer;
let mask: Buffer;
beforeAll(async () => {
  service = await startApp({
    MAX_UPLOAD_BYTES: String(MAX_UPLOAD_BYTES),
    MAX_PIXELS: '100000',
    QUEUE_LIMIT: '16',
  });
  image = await pngOf(64, 64);
  mask = await maskOf(64, 64);
});
afterAll(() => service.app.close());
// After every test, the next request is answered and the queue is empty.
afterEach(async () => {
  await expect.poll(() => service.registry.get().scheduler?.depth).toEqual({ waiting: 0, active: 0 });
  const { status } = await form().field('steps', '1');
  expect(status).toBe(200);
});

const post = (path = '/v1/inpaint') => request(service.url).post(path);
const form = (files: { image?: Buffer; mask?: Buffer } = {}) =>
  post()
    .attach('image', files.image ?? image, 'image.png')
    .attach('mask', files.mask ?? mask, 'mask.png');

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: unknown;
}

/** Expects a problem of this status and type, with a pointer to the field and a detail text. */
function expectProblem({ status, headers, body }: Answer, expected: number, slug: string, pointer?: string) {
  expect({ status, body }).toMatchObject({
    status: expected,
    body: { status: expected, type: `/problems/${slug}` },
  });
  expect(headers['content-type']).toContain('application/problem+json');
  expect(headers['x-request-id']).toBeTruthy();
  const { detail, errors } = body as { detail: string; errors?: { pointer: string; detail: string }[] };
  expect(detail.length).toBeGreaterThan(8);
  if (pointer) expect(errors?.map((error) => error.pointer)).toContain(pointer);
  return detail;
}

describe('files', () => {
  test('truncated, corrupt, empty and unsupported files', async () => {
    const truncated = image.subarray(0, image.length >> 1);
    expectProblem(await form({ image: truncated }), 400, 'unreadable-picture', '#/image');
    const corrupt = Buffer.from(image);
    corrupt.fill(0x55, 60, 400);
    expectProblem(await form({ image: corrupt }), 400, 'unreadable-picture', '#/image');
    expectProblem(await form({ image: Buffer.alloc(0) }), 400, 'unreadable-picture', '#/image');
    expectProblem(await form({ mask: Buffer.alloc(0) }), 400, 'unreadable-picture', '#/mask');
    const text = Buffer.from('GIF, or so says the name of this file');
    expectProblem(await form({ image: text }), 415, 'unsupported-picture', '#/image');
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>');
    expectProblem(await form({ mask: svg }), 415, 'unsupported-picture', '#/mask');
  });

  test('a mask of another size: the error contains both sizes', async () => {
    const detail = expectProblem(await form({ mask: await maskOf(32, 48) }), 400, 'mask-mismatch', '#/mask');
    expect(detail).toContain('32 x 48');
    expect(detail).toContain('64 x 64');
  });

  test('an empty mask, and neither a mask nor transparency', async () => {
    expectProblem(await form({ mask: await maskOf(64, 64, 0) }), 400, 'empty-mask', '#/mask');
    const openAi = await sharp({
      create: { width: 64, height: 64, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0 } },
    })
      .png()
      .toBuffer();
    const detail = expectProblem(await form({ mask: openAi }), 400, 'empty-mask', '#/mask');
    expect(detail).not.toContain('in the image'); // not every API takes a picture without a mask
    expect(detail).toMatch(/OpenAI/);
    expect(detail).not.toMatch(/undefined/);
    expectProblem(await post().attach('image', image, 'i.png'), 400, 'empty-mask', '#/mask');
    const opaque = await rgb(64, 64).ensureAlpha().png().toBuffer();
    expectProblem(await post().attach('image', opaque, 'i.png'), 400, 'empty-mask', '#/mask');
  });

  test('more pixels than MAX_PIXELS, and a decompression bomb', async () => {
    const large = await sharp({ create: { width: 400, height: 300, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    const detail = expectProblem(await form({ image: large }), 413, 'picture-too-large', '#/image');
    expect(detail).toContain('400 x 300');
    const bomb = await sharp({ create: { width: 12_000, height: 12_000, channels: 3, background: 'red' } })
      .png({ compressionLevel: 9 })
      .toBuffer();
    expectProblem(await form({ mask: bomb.subarray(0, 250_000) }), 413, 'picture-too-large', '#/mask');
  });
});

describe('fields', () => {
  test.each([
    ['steps', '0'],
    ['steps', '2.5'],
    ['steps', '1e9'],
    ['steps', '5 5'],
    ['steps', 'many'],
    ['seed', '-1'],
    ['seed', '4294967296'],
    ['num_images', '9'],
    ['num_images', '0'],
    ['eta', '1.5'],
    ['sampler', 'euler'],
    ['strategy', 'guess'],
    ['mask_blur', '-3'],
    ['padding', '-1'],
    ['format', 'gif'],
    ['quality', '101'],
    ['priority', 'urgent'],
    ['stepps', '5'],
    ['__proto__x', '5'],
  ])('%s = "%s" is refused with the name of the field', async (name, value) => {
    expectProblem(await form().field(name, value), 400, 'invalid-request', `#/${name}`);
  });

  test('more steps than the model has', async () => {
    expect(expectProblem(await form().field('steps', '1001'), 400, 'invalid-request', '#/steps')).toContain(
      '1000',
    );
  });

  test('an unknown model', async () => {
    const detail = expectProblem(
      await form().field('model', 'stable-diffusion'),
      404,
      'unknown-model',
      '#/model',
    );
    expect(detail).toContain(service.registry.get().ref);
    expectProblem(await request(service.url).get('/v1/models/nobody'), 404, 'unknown-model');
  });

  test('two images, an image as text, no image', async () => {
    expectProblem(await form().attach('image', image, 'again.png'), 400, 'invalid-request', '#/image');
    expectProblem(await form().field('steps', '3').field('steps', '4'), 400, 'invalid-request', '#/steps');
    expectProblem(await post().field('image', 'me.png'), 400, 'invalid-request', '#/image');
    expectProblem(await post().field('steps', '3'), 400, 'invalid-request', '#/image');
  });

  test('JSON: malformed, not an object, malformed base64, wrong types, unknown fields', async () => {
    const json = (body: string | object) => post().set('content-type', 'application/json').send(body);
    expectProblem(await json('{"image": '), 400, 'invalid-request');
    expectProblem(await json(''), 400, 'invalid-request');
    expectProblem(await json('[]'), 400, 'invalid-request');
    expectProblem(await json('null'), 400, 'invalid-request');
    expectProblem(await json({ image: 'no base64!' }), 400, 'invalid-request', '#/image');
    expectProblem(await json({ image: 'data:image/png;base64,A' }), 400, 'invalid-request', '#/image');
    expectProblem(await json({ image: 7 }), 400, 'invalid-request', '#/image');
    const fine = { image: image.toString('base64'), mask: mask.toString('base64') };
    expectProblem(await json({ ...fine, steps: '5' }), 400, 'invalid-request', '#/steps');
    expectProblem(await json({ ...fine, prompt: 'a cat' }), 400, 'invalid-request', '#/prompt');
    expectProblem(await json({ image: '', mask: '' }), 400, 'unreadable-picture', '#/image');
    expectProblem(await post('/v1/sample').send({ steps: 0, seed: -1 }), 400, 'invalid-request', '#/seed');
  });

  test('a reserved name of a field is named as the cause', async () => {
    for (const name of ['constructor', '__proto__', 'toString']) {
      const detail = expectProblem(await form().field(name, '1'), 400, 'invalid-request');
      expect(detail).toContain('reserved name');
    }
    const json = post().set('content-type', 'application/json').send('{"__proto__": {}}');
    expect(expectProblem(await json, 400, 'invalid-request')).toContain('__proto__');
  });

  test('timesteps out of range', async () => {
    const diffuse = (timesteps: unknown) =>
      post('/v1/diffuse').send({ image: image.toString('base64'), timesteps });
    expectProblem(await diffuse([0, 1000]), 400, 'invalid-request', '#/timesteps/1');
    expectProblem(await diffuse([]), 400, 'invalid-request', '#/timesteps');
    expectProblem(await diffuse('0,1'), 400, 'invalid-request', '#/timesteps');
  });
});

describe('the request itself', () => {
  test('an unsupported content type', async () => {
    expectProblem(await post().set('content-type', 'image/png').send(image), 415, 'unsupported-media-type');
    expectProblem(await post('/v1/sample').field('steps', '3'), 415, 'unsupported-media-type');
  });

  test('an unsupported Accept header', async () => {
    expectProblem(await form().set('accept', 'text/html'), 406, 'not-acceptable');
    expectProblem(await form().set('accept', 'image/png').field('format', 'webp'), 406, 'not-acceptable');
    const several = form().set('accept', 'image/png').field('num_images', '2');
    expect(expectProblem(await several, 406, 'not-acceptable')).toContain('application/json');
  });

  test('unknown paths and methods', async () => {
    expectProblem(await request(service.url).get('/v3/inpaint'), 404, 'not-found');
    const wrong = await request(service.url).get('/v1/inpaint');
    expectProblem(wrong, 405, 'method-not-allowed');
    expect(wrong.headers.allow).toContain('POST');
  });

  test('more bytes than MAX_UPLOAD_BYTES: in one file, in all parts together, in JSON', async () => {
    const noise = Buffer.from(Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7919) >> 3));
    expectProblem(await form({ image: Buffer.concat([noise, noise]) }), 413, 'upload-too-large');
    expectProblem(await form({ image: noise, mask: noise }), 413, 'upload-too-large');
    expectProblem(await post().send({ image: noise.toString('base64').repeat(2) }), 413, 'upload-too-large');
  });

  test('a body without content-length is counted while it arrives', async () => {
    const boundary = 'b0undary';
    const socket = createConnection({ port: Number(new URL(service.url).port), host: '127.0.0.1' });
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    socket.write(
      'POST /v1/inpaint HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n' +
        `content-type: multipart/form-data; boundary=${boundary}\r\n\r\n`,
    );
    const chunk = (data: string) => socket.write(`${data.length.toString(16)}\r\n${data}\r\n`);
    chunk(`--${boundary}\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\n`);
    for (let sent = 0; sent < 2 * MAX_UPLOAD_BYTES; sent += 10_000) chunk('x'.repeat(10_000));
    await expect.poll(() => answer).toContain('413 Payload Too Large');
    expect(answer).toContain('upload-too-large');
    socket.destroy();
  });

  test('a truncated multipart body, and one with too many parts', async () => {
    const cut = await post()
      .set('content-type', 'multipart/form-data; boundary=x')
      .send('--x\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\nabc');
    expectProblem(cut, 400, 'invalid-request');
    let many = form();
    for (let i = 0; i < 60; i++) many = many.field(`f${i}`, 'x');
    expectProblem(await many, 413, 'upload-too-large');
    const none = await post().set('content-type', 'multipart/form-data').send('x');
    expect(expectProblem(none, 400, 'invalid-request')).toContain('boundary');
  });

  test('a client that disconnects while sending or while waiting', async () => {
    const { port } = new URL(service.url);
    const sending = createConnection({ port: Number(port), host: '127.0.0.1' });
    sending.write(
      'POST /v1/inpaint HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n' +
        'content-type: multipart/form-data; boundary=x\r\n\r\n--x\r\ncontent-disp',
    );
    await once(sending, 'connect');
    sending.destroy();

    const waiting = createConnection({ port: Number(port), host: '127.0.0.1' });
    const body = JSON.stringify({ steps: 1000, num_images: 2 });
    waiting.write(
      `POST /v1/sample HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await expect.poll(() => service.registry.get().scheduler?.depth.active).toBeGreaterThan(0);
    waiting.destroy();
    await expect.poll(() => service.registry.get().scheduler?.depth).toEqual({ waiting: 0, active: 0 });
    const metrics = await service.metrics.disconnects.get();
    expect(metrics.values[0].value).toBeGreaterThanOrEqual(1);
  });

  test('beyond the queue limit: 429 with Retry-After, and earlier requests are answered', async () => {
    const slow = Array.from({ length: 2 }, () => post('/v1/sample').send({ steps: 15, num_images: 8 }));
    const answers = Promise.all(slow);
    const inSystem = () => {
      const { waiting = 0, active = 0 } = service.registry.get().scheduler?.depth ?? {};
      return waiting + active;
    };
    await expect.poll(inSystem).toBe(16);
    const refused = await form();
    expectProblem(refused, 429, 'queue-full');
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    for (const { status } of await answers) expect(status).toBe(200);
  });
});

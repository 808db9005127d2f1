import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { hashKey, newKey } from '../../../src/config/api-keys.ts';
import { maskOf, rgb, startApp, type TestApp } from '../../helpers/app.ts';
import { startFakeApp } from '../fake-app.ts';

const [WIDTH, HEIGHT] = [48, 40];
let service: TestApp;
let image: Buffer;
let white: Buffer;
beforeAll(async () => {
  service = await startApp();
  image = await rgb(WIDTH, HEIGHT).png().toBuffer();
  white = await maskOf(WIDTH, HEIGHT);
});
afterAll(() => service.app.close());

const url = (bytes: Buffer) => `data:image/png;base64,${bytes.toString('base64')}`;
const base64 = (bytes: Buffer) => bytes.toString('base64');
const pixels = (bytes: Buffer) => sharp(bytes).removeAlpha().raw().toBuffer();
/** A picture of the size with the given pixel at each hole pixel of the white mask, transparent elsewhere. */
async function strokes(colour: number[]): Promise<Buffer> {
  const hole = await sharp(white).toColourspace('b-w').raw().toBuffer();
  const data = Buffer.alloc(hole.length * 4);
  hole.forEach((value, p) => {
    if (value > 0) data.set(colour, p * 4);
  });
  return sharp(data, { raw: { width: WIDTH, height: HEIGHT, channels: 4 } })
    .png()
    .toBuffer();
}
const post = (path: string, body: object) =>
  request(service.url).post(`/api/v1/${path}`).send(body).responseType('blob');
const text = ({ body }: { body: Buffer }) => JSON.parse(body.toString());

describe('inpaint', () => {
  test('gives the picture of /v1/inpaint for the seed, and 42 is the seed when there is none', async () => {
    const own = await request(service.url)
      .post('/v1/inpaint')
      .set('accept', 'image/png')
      .responseType('blob')
      .send({ image: base64(image), mask: base64(white), seed: 42 });
    const answer = await post('inpaint', { image: url(image), mask: base64(white) });
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({ 'content-type': 'image/png', 'x-seed': '42' });
    expect((await pixels(answer.body)).equals(await pixels(own.body))).toBe(true);
  });

  test('-1 draws a seed, others are kept, and what has no effect is named', async () => {
    const body = { image: url(image), mask: url(white), sd_steps: 50, prompt: '', hd_strategy: 'Crop' };
    const drawn = [
      await post('inpaint', { ...body, sd_seed: -1 }),
      await post('inpaint', { ...body, sd_seed: -1 }),
    ];
    const [a, b] = drawn.map(({ headers }) => Number(headers['x-seed']));
    expect(a).not.toBe(b);
    const answer = await post('inpaint', { ...body, sd_seed: 7 });
    expect(answer.headers['x-seed']).toBe('7');
    expect(answer.headers['x-ignored-parameters']).toBe('sd_steps, prompt, hd_strategy');
    const refused = await post('inpaint', { ...body, sd_seed: -2 });
    expect([refused.status, text(refused).errors]).toEqual([400, expect.stringContaining('sd_seed')]);
  });

  test('the colour of the mask is the hole, not its alpha', async () => {
    const ask = async (mask: Buffer) => (await post('inpaint', { image: url(image), mask: url(mask) })).body;
    const faint = await ask(await strokes([255, 204, 0, 3]));
    expect((await pixels(faint)).equals(await pixels(await ask(white)))).toBe(true);
    const dark = await post('inpaint', { image: url(image), mask: url(await strokes([90, 90, 90, 255])) });
    expect([dark.status, text(dark).error]).toEqual([400, 'empty-mask']);
  });

  test('the answer has the format of the image, and its alpha', async () => {
    const alpha = await rgb(WIDTH, HEIGHT, 4).png().toBuffer();
    const sent = {
      'image/jpeg': await sharp(image).jpeg().toBuffer(),
      'image/webp': await sharp(image).webp({ lossless: true }).toBuffer(),
      'image/png': alpha,
    };
    const mask = url(white);
    for (const [type, bytes] of Object.entries(sent)) {
      const answer = await post('inpaint', { image: base64(bytes), mask });
      expect(answer.headers['content-type']).toBe(type);
      if (type === 'image/jpeg') continue;
      const hole = await sharp(white).toColourspace('b-w').raw().toBuffer();
      const [before, after] = await Promise.all(
        [bytes, answer.body].map((b) => sharp(b).ensureAlpha().raw().toBuffer()),
      );
      for (let p = 0; p < hole.length; p++) {
        expect(after[p * 4 + 3]).toBe(before[p * 4 + 3]);
        if (hole[p] === 0)
          expect(after.subarray(p * 4, p * 4 + 3)).toEqual(before.subarray(p * 4, p * 4 + 3));
      }
    }
    const gif = await post('inpaint', { image: base64(await sharp(image).gif().toBuffer()), mask });
    expect(gif.headers['content-type']).toBe('image/png');
  });
});

test.each([0x80_00_00_00, 0xff_ff_ff_f7])('a WebP with a chunk of %i bytes is refused', async (size) => {
  const webp = Buffer.from('RIFF\x0c\0\0\0WEBPJUNK....', 'latin1');
  webp.writeUInt32LE(size, 16);
  const answer = await post('inpaint', { image: base64(webp), mask: url(white) });
  expect([answer.status, text(answer).error]).toEqual([400, 'unreadable-picture']);
});

describe('adjust_mask', () => {
  async function adjusted(operate: string, kernel_size?: number) {
    const mask = url(await strokes([255, 204, 0, 187]));
    const answer = await post('adjust_mask', { mask, operate, kernel_size });
    const { data, info } = await sharp(answer.body).raw().toBuffer({ resolveWithObject: true });
    expect(info).toMatchObject({ width: WIDTH, height: HEIGHT, channels: 4 });
    let count = 0;
    for (let p = 0; p < data.length; p += 4) {
      if (data[p + 3] === 0) continue;
      expect([...data.subarray(p, p + 4)]).toEqual([255, 204, 0, 187]);
      count++;
    }
    return count;
  }

  test('grows, shrinks and reverses the hole, in the colour of the brush', async () => {
    const [w, h] = [WIDTH / 2, HEIGHT / 2];
    expect(await adjusted('reverse')).toBe(WIDTH * HEIGHT - w * h);
    expect(await adjusted('shrink', 3)).toBe((w - 6) * (h - 6));
    expect(await adjusted('shrink')).toBe((w - 10) * (h - 10));
    const grown = await adjusted('expand', 3);
    expect(grown).toBeGreaterThan(w * h + 6 * w + 6 * h);
    expect(grown).toBeLessThan((w + 6) * (h + 6));
  });

  test('refuses what it cannot do', async () => {
    const mask = url(white);
    for (const [body, named] of [
      [{ mask, operate: 'turn' }, 'operate'],
      [{ mask, operate: 'expand', kernel_size: 1000 }, 'kernel_size'],
      [{ mask: '!!', operate: 'expand' }, 'mask'],
      [{ mask: base64(Buffer.from('no picture')), operate: 'expand' }, 'mask'],
      [{ mask, operate: 'shrink', kernel_size: 40 }, 'nothing is left'],
    ] as const) {
      const answer = await post('adjust_mask', body);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
      expect(text(answer).errors).toContain(named);
    }
  });
});

test('there is one model, which cannot be switched', async () => {
  const { body: config } = await request(service.url).get('/api/v1/server-config');
  const { body: model } = await request(service.url).get('/api/v1/model');
  expect(config).toMatchObject({ modelInfos: [model], disableModelSwitch: true, plugins: [] });
  const { card, ref } = service.registry.get();
  expect(model).toMatchObject({ name: card.id, path: ref, model_type: 'inpaint', need_prompt: false });
  const same = await request(service.url).post('/api/v1/model').send({ name: card.id });
  expect(same.body).toEqual(model);
  const other = await request(service.url).post('/api/v1/model').send({ name: 'lama' });
  expect(other.status).toBe(400);
  expect(other.body.errors).toContain(card.id);
});

test('a picture that is opened has no prompts', async () => {
  const answer = await request(service.url).post('/api/v1/gen-info').attach('file', image, 'a.png');
  expect([answer.status, answer.body]).toEqual([200, { prompt: '', negative_prompt: '' }]);
  const none = await request(service.url).post('/api/v1/gen-info').field('file', 'text');
  expect([none.status, none.body.errors]).toEqual([400, expect.stringContaining('file')]);
});

describe('errors, whatever their cause', () => {
  const shape = {
    error: expect.any(String),
    detail: expect.any(String),
    body: '',
    errors: expect.any(String),
  };

  test('unknown paths, methods and bodies', async () => {
    const asked = request(service.url);
    const answers = [
      [404, await asked.get('/api/v1/inputimage')],
      [404, await asked.post('/api/v1/run_plugin_gen_mask').send({ name: 'RemoveBG' })],
      [405, await asked.delete('/api/v1/model')],
      [415, await asked.post('/api/v1/inpaint').type('text/plain').send('x')],
      [400, await asked.post('/api/v1/inpaint').type('json').send('{')],
      [400, await asked.post('/api/v1/inpaint').send({ mask: url(white) })],
    ] as const;
    for (const [status, answer] of answers) {
      expect(answer.status).toBe(status);
      expect(answer.headers['content-type']).toContain('application/json');
      expect(answer.body).toEqual(shape);
    }
  });

  test('keys, rate limits and the shutdown', async () => {
    const key = newKey();
    const { app, url } = await startFakeApp({
      API_KEYS: `a:${hashKey(key).toString('hex')}:2/minute`,
    });
    onTestFinished(() => app.close());
    const ask = () => request(url).get('/api/v1/model');
    expect(await ask()).toMatchObject({ status: 401, body: shape });
    const known = () => ask().set('authorization', `Bearer ${key}`);
    expect((await known()).headers['ratelimit-remaining']).toBe('1');
    await known();
    const limited = await known();
    expect(limited).toMatchObject({ status: 429, body: shape });
    expect(Number(limited.headers['retry-after'])).toBeGreaterThan(0);
    app.draining = true;
    expect(await request(url).post('/api/v1/inpaint').send({})).toMatchObject({ status: 503, body: shape });
  });
});

describe('/socket.io', () => {
  const path = '/socket.io/?EIO=4&transport=polling';

  test('ends a session as soon as it begins, without a key', async () => {
    const { app, url } = await startFakeApp({ API_KEYS: `a:${hashKey(newKey()).toString('hex')}` });
    onTestFinished(() => app.close());
    const opened = await request(url).get(path);
    expect(opened.text[0]).toBe('0');
    const { sid, upgrades } = JSON.parse(opened.text.slice(1));
    expect(upgrades).toEqual([]);
    const session = `${path}&sid=${sid}`;
    const joined = await request(url).post(session).type('text/plain').send('40');
    expect([joined.status, joined.text]).toEqual([200, 'ok']);
    const [refused, closed] = (await request(url).get(session)).text.split('\x1e');
    expect([refused.slice(0, 2), closed]).toEqual(['44', '1']);
  });

  test('reads no more than a few packets', async () => {
    const answer = await request(service.url).post(`${path}&sid=x`).type('text/plain').send('4'.repeat(5000));
    expect(answer.status).toBe(413);
  });
});

describe('PAGE_DIR', () => {
  async function folder(files: Record<string, string>) {
    const root = await mkdtemp(path.join(tmpdir(), 'page-'));
    onTestFinished(() => rm(root, { recursive: true }));
    for (const [name, contents] of Object.entries(files)) {
      await mkdir(path.dirname(path.join(root, name)), { recursive: true });
      await writeFile(path.join(root, name), contents);
    }
    return root;
  }

  test('is served in place of the own page, and nothing outside of it', async () => {
    const root = await folder({ 'index.html': 'theirs', 'assets/a.js': 'let a', '.hidden': 'x' });
    const { app, url } = await startFakeApp({ PAGE_DIR: root });
    onTestFinished(() => app.close());
    const page = await request(url).get('/');
    expect(page.text).toBe('theirs');
    expect(page.headers['content-security-policy']).toContain("style-src 'self' 'unsafe-inline'");
    expect(page.headers['content-security-policy']).toContain("default-src 'none'");
    expect((await request(url).get('/assets/a.js')).headers['content-type']).toContain('javascript');
    for (const other of ['/.hidden', '/playground/page.js', '/assets/', '/assets/../../package.json'])
      expect((await app.inject({ url: other })).statusCode, other).toBe(404);
    expect((await request(url).get('/v1/models')).status).toBe(200);
  });

  test('may have files whose names have a meaning in regular expressions', async () => {
    const root = await folder({ 'index.html': 'theirs', 'c++.txt': 'a language', '(1].js': 'let a' });
    const { app, url } = await startFakeApp({ PAGE_DIR: root });
    onTestFinished(() => app.close());
    expect((await request(url).get('/c++.txt')).text).toBe('a language');
    const { status, headers } = await request(url).post('/c++.txt');
    expect([status, headers.allow]).toEqual([405, 'HEAD, GET']);
    expect((await request(url).post('/indexxhtml')).status).toBe(404);
  });

  test('the own page has a stricter policy', async () => {
    const { headers } = await request(service.url).get('/');
    expect(headers['content-security-policy']).not.toContain('unsafe-inline');
  });
});

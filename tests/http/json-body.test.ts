import { randomBytes } from 'node:crypto';
import { createConnection } from 'node:net';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { decodeBase64 } from '../../src/http/base64-picture.ts';
import { JSON_BYTES, NOT_BASE64, readJsonBody } from '../../src/http/json-body.ts';
import { maskOf, pngOf } from '../helpers/app.ts';
import { startFakeApp } from './fake-app.ts';

let service: Awaited<ReturnType<typeof startFakeApp>>;
beforeAll(async () => {
  service = await startFakeApp();
});
afterAll(() => service.app.close());

const post = (body: string, path = '/v1/inpaint') =>
  request(service.url).post(path).set('content-type', 'application/json').send(body);
const repeated = (item: string, times: number) => Array(times).fill(item).join(',');

describe('a JSON body that would cost much to parse', () => {
  const MANY = 200_000;
  test.each([
    ['unknown fields', `{${Array.from({ length: MANY }, (_, i) => `"${i}":0`)}}`],
    ['items', `{"image":"","timesteps":[${repeated('0', MANY)}]}`],
    ['strings', `{"image":"","timesteps":[${repeated('""', MANY)}]}`],
    ['a long string in another field', `{"model":"${'a'.repeat(MANY)}"}`],
    ['a long key', `{"${'a'.repeat(MANY)}":0}`],
    ['white space', `{${' '.repeat(MANY)}}`],
    ['escaped quotes in a picture', `{"image":"${'\\"'.repeat(MANY)}"}`],
    ['a picture in a nested object', `{"a":{"image":"${'A'.repeat(MANY)}"}}`],
    ['a string that does not end', `{"model":"${'a'.repeat(MANY)}`],
  ])('%s: refused by its size, before it is parsed', async (_what, body) => {
    const parse = vi.spyOn(JSON, 'parse');
    const { status, text } = await post(body);
    const lengths = parse.mock.calls.map(([parsed]) => parsed.length);
    parse.mockRestore();
    expect(status).toBe(413);
    expect(text).toContain('upload-too-large');
    expect(text.length).toBeLessThan(1000);
    expect(Math.max(0, ...lengths)).toBeLessThan(1000); // the test's own client parses the answer
  });

  test.each([
    ['/v1/inpaint', `{"timesteps":[${repeated('0', 2000)}]}`],
    ['/v1/images/edits', `{"images":[${repeated('{}', 2000)}]}`],
    ['/v1/images/generations', `{${Array.from({ length: 2000 }, (_, i) => `"${i}":","`)}}`],
  ])('%s: refused by the number of its values', async (path, body) => {
    const { status, text } = await post(body, path);
    expect(status).toBe(413);
    expect(text).toContain('at most 1024 values');
  });

  test('is refused while it arrives', async () => {
    const socket = createConnection({ port: service.port, host: '127.0.0.1' });
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    socket.write(
      'POST /v1/inpaint HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9000000\r\n',
    );
    socket.write(`\r\n{${repeated('"a":0', MANY)}`); // the rest never comes
    await expect.poll(() => answer).toContain('upload-too-large');
    socket.destroy();
  });

  test('nesting is bounded', async () => {
    const { status, body } = await post(`{"model":${'['.repeat(20_000)}${']'.repeat(20_000)}}`);
    expect(status).toBe(400);
    expect(body.detail).toContain('nested');
  });

  test('an answer lists 20 errors at most, and repeats long keys in part', async () => {
    const fields = Array.from({ length: 900 }, (_, i) => `"k${i}":0`);
    const many = await post(`{${fields}}`, '/v1/sample');
    expect(many.status).toBe(400);
    expect(many.body.errors).toHaveLength(20);
    expect(many.body.detail).toContain('and 880 more');
    const long = await post(`{"${'é'.repeat(20_000)}":0,"\\ud800":0}`, '/v1/sample');
    expect(long.status).toBe(400);
    expect(long.text.length).toBeLessThan(4000);
  });
});

describe('readJsonBody', () => {
  const read = (text: string) => readJsonBody(Buffer.from(text), async (rest) => JSON.parse(rest));
  const picture = randomBytes(3_000_000);
  const base64 = picture.toString('base64');

  test('takes pictures out, wherever they are and however their keys are spelled', async () => {
    const text = `{"steps":2,"image" : "${base64}","tags":[{"image":"x"}],"\\u006dask":"${base64}","seed":1}`;
    const { image, mask, ...others } = (await read(text)) as Record<string, Buffer>;
    expect(others).toEqual({ steps: 2, tags: [{ image: 'x' }], seed: 1 });
    expect(image.equals(picture) && mask.equals(picture)).toBe(true);
  });

  test('agrees with JSON.parse on repeated members, other values and anything that is not an object', async () => {
    expect(await read('{"image":"QUJD","image":"REVG"}')).toEqual({ image: Buffer.from('DEF') });
    expect(await read('{"image":"QUJD","image":7}')).toEqual({ image: 7 });
    expect(await read('{"image":{"mask":"QUJD"},"mask":null}')).toEqual({
      image: { mask: 'QUJD' },
      mask: null,
    });
    expect(await read('{"image":["a","b"]}')).toEqual({ image: ['a', 'b'] });
    expect(await read('{"image":"no base64!"}')).toEqual({ image: NOT_BASE64 });
    for (const text of ['[]', '7', '"image"', '["image","a"]', 'null'])
      expect(await read(text)).toEqual(JSON.parse(text));
    for (const text of ['', '{', '{"image"', '{"image":', '{"image":"', '{"image":"QUJD', '["image":"QUJD"]'])
      await expect(read(text)).rejects.toThrow(SyntaxError);
  });

  test('accepts what fits the limit exactly', async () => {
    const fill = (length: number) => `{"image":"${base64}","x":"${'a'.repeat(length)}"}`;
    const room = JSON_BYTES - fill(0).length + base64.length;
    expect(((await read(fill(room))) as { image: Buffer }).image.equals(picture)).toBe(true);
    await expect(read(fill(room + 1))).rejects.toThrow('besides image and mask');
  });
});

describe('base64 and data: URLs', () => {
  const bytes = Buffer.from([0xfb, 0xff, 0xfe, 0x00, 0x41, 0x42, 0x43]); // with + and / in base64, - and _ in base64url
  const base64 = bytes.toString('base64');
  const decoded = (text: string) => decodeBase64(Buffer.from(JSON.stringify(text).slice(1, -1)));

  test.each([
    ['base64', base64],
    ['without padding', base64.replace(/=+$/, '')],
    ['the URL-safe alphabet', bytes.toString('base64url')],
    ['white space', ` ${base64.slice(0, 3)}\r\n\t${base64.slice(3)}\f\n `],
    ['data: URL', `data:image/png;base64,${base64}`],
    ['without a type', `data:;base64,${base64}`],
    ['with parameters', `data:image/png;charset=utf-8;name=a.png;base64,${base64}`],
    ['in upper case', `DATA:IMAGE/PNG;BASE64,${base64}`],
    ['with spaces', `  data:image/png; base64,${base64} `],
    ['with escapes of URLs', `data:image/png;base64,${encodeURIComponent(base64)}`],
  ])('%s is read', async (_what, text) => {
    expect(await decoded(text)).toEqual(bytes);
  });

  test('the escapes of JSON are read, as PHP and .NET write them', async () => {
    const json = (text: string) => decodeBase64(Buffer.from(text));
    expect(await json(`data:image\\/png;base64,${base64.replaceAll('/', '\\/')}`)).toEqual(bytes);
    expect(await json(base64.replaceAll('+', '\\u002B').replaceAll('/', '\\u002f'))).toEqual(bytes);
    expect(await json(`${base64.slice(0, 4)}\\r\\n${base64.slice(4)}`)).toEqual(bytes);
  });

  test('long texts are read in pieces', async () => {
    const long = randomBytes(5_000_000);
    const lines = long.toString('base64').replace(/.{76}/g, '$&\n');
    expect((await decoded(lines))?.equals(long)).toBe(true);
  });

  test.each([
    'no base64!',
    'A',
    'AAAAA',
    'AAA==',
    'AA=A',
    'A===',
    'AAAA====',
    'QUJD%3D',
    'data:image/png,abc',
    'data:image/png;base64,%4',
    'data:image/png;base64,%zz',
    'data:image/svg+xml;utf8,AAAA',
    'é',
    'AAA\u{141}',
  ])('%s is refused', async (text) => {
    expect(await decoded(text)).toBeUndefined();
  });
});

test('a picture as a data: URL with parameters is filled', async () => {
  const image = `DATA:;charset=utf-8;base64,${(await pngOf(64, 64)).toString('base64url')}`;
  const mask = (await maskOf(64, 64)).toString('base64');
  const { status } = await post(JSON.stringify({ image, mask, steps: 1 }));
  expect(status).toBe(200);
});

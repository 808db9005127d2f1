import sharp from 'sharp';
import request from 'supertest';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { maskOf, pngOf } from '../helpers/app.ts';
import { startFakeApp } from './fake-app.ts';

// What a job is made from: on the fake model, whose jobs take milliseconds.
let service: Awaited<ReturnType<typeof startFakeApp>>;
beforeAll(async () => {
  service = await startFakeApp();
});
afterAll(() => service.app.close());

const post = (body: object, key?: string) =>
  request(service.url)
    .post('/v1/jobs')
    .set(key ? { 'idempotency-key': key } : {})
    .send(body);
const get = (path: string) => request(service.url).get(path);
const picture = async (width: number) => (await pngOf(width, 8)).toString('base64');
const ended = async (id: string) => {
  await expect.poll(async () => (await get(`/v1/jobs/${id}`)).body.status).toBe('succeeded');
  return (await get(`/v1/jobs/${id}`)).body;
};

test('an Idempotency-Key stands for the pictures too: another image or mask with it is a conflict', async () => {
  const image = await picture(8);
  const mask = (await maskOf(8, 8)).toString('base64');
  const body = { image, mask, seed: 1 };
  expect((await post(body, 'k')).status).toBe(202);
  expect((await post(body, 'k')).status).toBe(200);
  const other = await sharp(Buffer.from(image, 'base64')).negate().png().toBuffer();
  expect((await post({ ...body, image: other.toString('base64') }, 'k')).status).toBe(409);
  const all = (await maskOf(8, 8, 1)).toString('base64');
  expect((await post({ ...body, mask: all }, 'k')).status).toBe(409);
});

test('seed and version are fixed when the job is made', async () => {
  const { body } = await post({ task: 'sample', model: 'fake' });
  expect(body.parameters).toMatchObject({ model: 'fake@1', seed: expect.any(Number) });
});

test('a job that draws a picture takes no parameters of fills, except their defaults', async () => {
  const defaults = { strategy: 'auto', padding: null, mask_grow: 0, mask_blur: 0, metadata: 'strip' };
  expect((await post({ task: 'sample', ...defaults })).status).toBe(202);
  const given = { strategy: 'crop', padding: 0, mask_grow: 40, mask_blur: 1, metadata: 'keep' };
  const { status, body } = await post({ task: 'sample', ...given });
  const pointers = body.errors.map(({ pointer }: { pointer: string }) => pointer);
  expect([status, pointers]).toEqual([400, Object.keys(given).map((name) => `#/${name}`)]);
});

test.each(['png', 'jpeg', 'webp'])('a job in %s gives its pictures as that', async (format) => {
  const { body } = await post({ task: 'sample', format, num_images: 2 });
  const { images } = await ended(body.id);
  expect(images).toHaveLength(2);
  for (const path of images) {
    const { headers, body: file } = await get(path).buffer(true);
    expect(headers['content-type']).toBe(`image/${format}`);
    expect((await sharp(file).metadata()).format).toBe(format);
  }
});

test('created_at, started_at and finished_at are in order', async () => {
  const { body } = await post({ task: 'sample' });
  const { created_at, started_at, finished_at } = await ended(body.id);
  const times = [created_at, started_at, finished_at].map(Date.parse);
  expect(times).toEqual([...times].sort((a, b) => a - b));
});

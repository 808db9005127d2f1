import request from 'supertest';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startFakeApp } from '../fake-app.ts';

let service: Awaited<ReturnType<typeof startFakeApp>>;
beforeAll(async () => {
  service = await startFakeApp({ MAX_DECODED_BYTES: '100000000' });
});
afterAll(() => service.app.close());

async function refusal(body: object) {
  const answer = await fetch(`${service.url}/v1/images/generations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const { error } = (await answer.json()) as { error: { param: string; message: string } };
  return { status: answer.status, ...error };
}

test('an error of quality names quality', async () => {
  expect(await refusal({ quality: 7 })).toMatchObject({ status: 400, param: 'quality' });
});

test('a quality that OpenAI does not have has no effect either, and is answered as auto', async () => {
  const { body } = await request(service.url).post('/v1/images/generations').send({ quality: 'ultra' });
  expect(body).toMatchObject({ quality: 'auto', data: [{}] });
});

test('what takes too much memory is named: the size, or the number of pictures', async () => {
  const size = await refusal({ size: '5000x5000', output_format: 'webp' });
  expect(size).toMatchObject({ status: 413, param: 'size' });
  expect(size.message).toMatch(/^size of 5000 x 5000 pixels as webp would take 1\d\d\d MB/);
  const n = await refusal({ size: '2000x2000', n: 10 });
  expect(n).toMatchObject({ status: 413, param: 'n' });
  expect(n.message).toMatch(/^n 10, each of 2000 x 2000 pixels as png, would take/);
});

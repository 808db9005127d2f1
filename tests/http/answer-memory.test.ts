import { afterAll, beforeAll, expect, test } from 'vitest';
import { pictureBudget } from '../../src/image/budget.ts';
import { maskOf, pngOf } from '../helpers/app.ts';
import { startFakeApp } from './fake-app.ts';

let service: Awaited<ReturnType<typeof startFakeApp>>;
/** Bytes that requests hold when the last answer begins to be sent. */
let held = 0;
beforeAll(async () => {
  service = await startFakeApp();
  service.app.server.on('request', (_, response) => {
    response.once('prefinish', () => {
      held = pictureBudget.held;
    });
  });
});
afterAll(() => service.app.close());

const lengthOf = (base64: string) => Buffer.from(base64, 'base64').length;

async function post(path: string, body: object) {
  const answer = await fetch(service.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, image/png' },
    body: JSON.stringify(body),
  });
  const bytes = Buffer.from(await answer.arrayBuffer());
  expect(answer.status, bytes.toString()).toBe(200);
  await expect.poll(() => pictureBudget.held).toBe(0);
  return bytes;
}

interface Answer {
  images: { data: string }[];
  uncertainty?: string;
}

test('the memory of an answer is held until it has been sent', async () => {
  const image = (await pngOf(40, 40)).toString('base64');
  const mask = (await maskOf(40, 40)).toString('base64');
  const files = ({ images }: Answer) => images.reduce((sum, { data }) => sum + lengthOf(data), 0);

  const noised = JSON.parse(String(await post('/v1/diffuse', { image })));
  expect(held).toBe(files(noised));

  const filled = JSON.parse(String(await post('/v1/inpaint', { image, mask, num_images: 2 })));
  expect(filled.uncertainty.length).toBeGreaterThan(0);
  expect(held).toBe(files(filled) + filled.uncertainty.length);

  const adjusted = await post('/api/v1/adjust_mask', { mask, operate: 'expand', kernel_size: 3 });
  expect(held).toBe(adjusted.length);
});

import { existsSync, readFileSync } from 'node:fs';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { startApp } from '../helpers/app.ts';
import { metric } from '../helpers/metric.ts';
import { startProcess } from '../helpers/process.ts';

const MB = 1_000_000;
const MAX_DECODED_BYTES = 400 * MB;
/** What the process takes besides pictures: more threads than while it is idle, and the heaps of all of them. */
const SLACK = 150 * MB;
/** The allocator's settings in the image (Dockerfile). */
const ALLOCATOR = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '131072' };

/** A small file of many pixels, transparent in the centre. */
async function largePicture({ width = 3000, height = 3000, hole: side = 200 } = {}): Promise<Buffer> {
  const hole = await sharp({ create: { width: side, height: side, channels: 4, background: 'black' } })
    .png()
    .toBuffer();
  return sharp({ create: { width, height, channels: 4, background: '#336699' } })
    .composite([{ input: hole, blend: 'dest-out' }])
    .png()
    .toBuffer();
}

function memoryOf(pid: number | undefined, field: 'VmRSS' | 'VmHWM'): number {
  const kilobytes = new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) * 1024;
}

test.skipIf(!existsSync('/proc/self/status'))(
  'a burst of 60 large pictures on each route stays within MAX_DECODED_BYTES',
  async () => {
    const service = startProcess({ MAX_DECODED_BYTES: String(MAX_DECODED_BYTES), ...ALLOCATOR });
    const url = await service.url;
    const picture = await largePicture();
    expect(picture.length).toBeLessThan(MB);

    const post = (path: string, file: Buffer, fields: Record<string, string> = {}, signal?: AbortSignal) => {
      const body = new FormData();
      body.set('image', new Blob([new Uint8Array(file)]), 'image.png');
      for (const [name, value] of Object.entries(fields)) body.set(name, value);
      return fetch(url + path, { method: 'POST', body, headers: { accept: 'application/json' }, signal });
    };
    const held = () => metric(url, 'ddpm_inpaint_picture_bytes');
    const burst = (path: string, fields = {}) =>
      Promise.all(
        Array.from({ length: 60 }, async () => {
          const answer = await post(path, picture, fields);
          await answer.arrayBuffer();
          return answer;
        }),
      );

    const { pid } = service.child;
    const idle = memoryOf(pid, 'VmRSS');
    for (const [path, fields] of [
      ['/v1/diffuse', {}],
      ['/v1/inpaint', { steps: '1' }],
      ['/v1/jobs', { steps: '1' }],
    ] as const) {
      const answers = await burst(path, fields);
      const statuses = new Set(answers.map(({ status }) => status));
      expect(statuses, path).toEqual(new Set([path === '/v1/jobs' ? 202 : 200, 429]));
      const refused = answers.find(({ status }) => status === 429);
      expect(Number(refused?.headers.get('retry-after')), path).toBeGreaterThan(0);
    }
    expect(memoryOf(pid, 'VmHWM') - idle).toBeLessThan(MAX_DECODED_BYTES + SLACK);

    // Refused pictures and clients that leave give their memory back.
    await expect.poll(held, { timeout: 100_000 }).toBe(0); // the jobs have ended
    const damaged = Buffer.from(picture).fill(0, picture.length >> 1);
    for (let i = 0; i < 4; i++) expect((await post('/v1/inpaint', damaged)).status).toBe(400);
    await expect.poll(held).toBe(0);
    const leaving = new AbortController();
    const left = post('/v1/inpaint', picture, { steps: '1000' }, leaving.signal).catch(() => 'left');
    await expect.poll(held).toBeGreaterThan(0);
    leaving.abort();
    expect(await left).toBe('left');
    await expect.poll(held).toBe(0);
  },
  300_000,
);

test('a request that could never fit is refused with the numbers, before it is decoded', async () => {
  const service = startProcess({ MAX_DECODED_BYTES: '80000000' });
  const url = await service.url;
  const picture = await largePicture({ width: 1500, height: 1000, hole: 20 });
  const ask = async (numImages: number) => {
    const body = new FormData();
    body.set('image', new Blob([new Uint8Array(picture)]), 'image.png');
    body.set('num_images', String(numImages));
    body.set('steps', '1');
    const answer = await fetch(`${url}/v1/inpaint`, {
      method: 'POST',
      body,
      headers: { accept: 'application/json' },
    });
    return { status: answer.status, body: (await answer.json()) as { detail?: string; errors?: object[] } };
  };
  expect((await ask(1)).status).toBe(200);
  const { status, body } = await ask(8);
  expect(status).toBe(413);
  expect(body.detail).toMatch(
    /num_images 8, each of 1500 x 1000 pixels.* would take \d+ MB.* may take 60 MB/,
  );
  expect(body.errors).toMatchObject([{ pointer: '#/num_images' }]);
});

test('the memory of windows counts: it depends on the shape of the hole', async () => {
  const { app, url } = await startApp({ MAX_DECODED_BYTES: '60000000' });
  try {
    const side = 1000;
    const image = sharp({ create: { width: side, height: side, channels: 3, background: 'grey' } });
    const fill = async (path: string, isHole: (x: number, y: number) => boolean) => {
      const data = Uint8Array.from({ length: side * side }, (_, p) =>
        isHole(p % side, Math.floor(p / side)) ? 255 : 0,
      );
      const mask = sharp(data, { raw: { width: side, height: side, channels: 1 } });
      const body = new FormData();
      body.set('image', new Blob([new Uint8Array(await image.png().toBuffer())]), 'image.png');
      body.set('mask', new Blob([new Uint8Array(await mask.png().toBuffer())]), 'mask.png');
      body.set('steps', '1');
      const answer = await fetch(url + path, { method: 'POST', body });
      return { status: answer.status, text: await answer.text() };
    };
    for (const [path, accepted] of [
      ['/v1/inpaint', 200],
      ['/v1/jobs', 202],
    ] as const) {
      // The memory of the request before may not be free yet: 429.
      const spot = async () => (await fill(path, (x, y) => Math.max(x, y) < 10)).status;
      await expect.poll(spot, { timeout: 60_000 }).toBe(accepted);
      let text = '';
      const diagonal = async () => {
        const answer = await fill(path, (x, y) => Math.abs(x - y) < 2);
        text = answer.text;
        return answer.status;
      };
      await expect.poll(diagonal, { timeout: 60_000 }).toBe(413);
      expect(JSON.parse(text)).toMatchObject({
        detail: expect.stringMatching(/would take \d+ MB of memory; a request may take 45 MB/),
        errors: [{ pointer: '#/image' }],
      });
    }
  } finally {
    await app.close();
  }
});

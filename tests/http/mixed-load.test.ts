import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { maskOf, pngOf, startApp, type TestApp } from '../helpers/app.ts';

const CLIENTS = 64;
const LONG = 100;
const SAMPLERS = ['ddpm', 'ddim', 'dpmpp_2m'];
const PRIORITIES = ['normal', 'low', 'high'];

let service: TestApp;
let pictures: { image: string; mask: string };
beforeAll(async () => {
  service = await startApp({ QUEUE_LIMIT: '100' });
  const [image, mask] = await Promise.all([pngOf(64, 64), maskOf(64, 64)]);
  pictures = { image: image.toString('base64'), mask: mask.toString('base64') };
});
afterAll(() => service.app.close());

/** The request of client i. The first four are the longest and could delay the others. In total about 1,200 evaluations. */
function client(i: number) {
  const numImages = i % 16 === 7 ? 2 : 1;
  const steps = i < 4 ? LONG : 5 + ((i * 7) % 16);
  const sampling = { seed: i, sampler: SAMPLERS[i % 3], eta: (i % 4) / 3, steps, num_images: numImages };
  const priority = PRIORITIES[Math.floor(i / 3) % 3];
  const accept = i % 8 === 5 ? 'text/event-stream' : numImages > 1 ? 'application/json' : 'image/png';
  const path = i % 2 === 0 ? '/v1/sample' : '/v1/inpaint';
  return { path, accept, body: { ...sampling, priority, ...(i % 2 === 0 ? {} : pictures) } };
}

/** Sends a request; resolves to its status and the pixels of every picture. */
async function send({ path, accept, body }: ReturnType<typeof client>) {
  const headers = { 'content-type': 'application/json', accept };
  const response = await fetch(service.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
  const answer = Buffer.from(await response.arrayBuffer());
  const files = response.ok ? filesIn(answer, accept) : [];
  const pixels = await Promise.all(files.map((file) => sharp(file).raw().toBuffer()));
  return { status: response.status, pixels };
}

function filesIn(answer: Buffer, accept: string): Buffer[] {
  if (accept === 'image/png') return [answer];
  const json = answer.toString().match(/(?:^|event: result\ndata: )(\{.*\})\s*$/)?.[1] ?? '{"images": []}';
  return JSON.parse(json).images.map(({ data }: { data: string }) => Buffer.from(data, 'base64'));
}

test('64 mixed clients at once: all are answered, none starves, and each gets the same pixels as alone', async () => {
  const clients = Array.from({ length: CLIENTS }, (_, i) => client(i));
  const answered: number[] = [];
  const together = await Promise.all(
    clients.map(async (one, i) => {
      const answer = await send(one);
      answered.push(i);
      return answer;
    }),
  );
  expect(together.map(({ status }) => status)).toEqual(Array(CLIENTS).fill(200));
  expect(together.map(({ pixels }) => pixels.length)).toEqual(clients.map(({ body }) => body.num_images));
  const hexes = together.flatMap(({ pixels }) => pixels.map((raw) => raw.toString('hex')));
  expect(new Set(hexes).size).toBe(hexes.length); // different seeds give different pictures

  // The short requests at the end do not wait for the long ones at the start.
  const shortest = answered.filter((i) => clients[i].body.steps < 10);
  const firstLong = answered.findIndex((i) => clients[i].body.steps === LONG);
  expect(Math.max(...shortest.map((i) => answered.indexOf(i)))).toBeLessThan(firstLong);

  // Repeat every fifth request alone. 5 is coprime to the periods in client(), so all samplers, routes and formats are
  // included. Mixed-up noise or rows would show in these as well as in all 64, which would take five times as long.
  for (let i = 0; i < CLIENTS; i += 5) {
    expect((await send(clients[i])).pixels, `client ${i}`).toEqual(together[i].pixels);
  }
  const otherSeed = { ...clients[0], body: { ...clients[0].body, steps: 5, seed: CLIENTS } };
  const sameSeed = { ...otherSeed, body: { ...otherSeed.body, seed: 0 } };
  expect((await send(otherSeed)).pixels).not.toEqual((await send(sameSeed)).pixels);
}, 300_000);

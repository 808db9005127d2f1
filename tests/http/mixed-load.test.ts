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

/** The first are the longest, so that who comes later could be kept waiting; some 1,200 evaluations in all. */
function client(i: number) {
  const numImages = i % 16 === 7 ? 2 : 1;
  const steps = i < 4 ? LONG : 5 + ((i * 7) % 16);
  const sampling = { seed: i, sampler: SAMPLERS[i % 3], eta: (i % 4) / 3, steps, num_images: numImages };
  const priority = PRIORITIES[Math.floor(i / 3) % 3];
  const accept = i % 8 === 5 ? 'text/event-stream' : numImages > 1 ? 'application/json' : 'image/png';
  const path = i % 2 === 0 ? '/v1/sample' : '/v1/inpaint';
  return { path, accept, body: { ...sampling, priority, ...(i % 2 === 0 ? {} : pictures) } };
}

/** Sends it, and gives the status and every picture's pixels. */
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

test('64 mixed clients at once: all are answered, none starves, each with the pixels it gets alone', async () => {
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
  expect(new Set(hexes).size).toBe(hexes.length); // no two seeds are the same picture

  // Who came last with little to do is not kept waiting for who came first with much.
  const shortest = answered.filter((i) => clients[i].body.steps < 10);
  const firstLong = answered.findIndex((i) => clients[i].body.steps === LONG);
  expect(Math.max(...shortest.map((i) => answered.indexOf(i)))).toBeLessThan(firstLong);

  // Every fifth: 5 shares no factor with the periods above, so all samplers, routes and forms are among them. All 64
  // would take as long again and could only differ for a reason that differs these too: noise or rows mixed up.
  for (let i = 0; i < CLIENTS; i += 5) {
    expect((await send(clients[i])).pixels, `client ${i}`).toEqual(together[i].pixels);
  }
  const otherSeed = { ...clients[0], body: { ...clients[0].body, steps: 5, seed: CLIENTS } };
  const sameSeed = { ...otherSeed, body: { ...otherSeed.body, seed: 0 } };
  expect((await send(otherSeed)).pixels).not.toEqual((await send(sameSeed)).pixels);
}, 300_000);

import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { maskOf, pngOf, startApp, type TestApp } from '../helpers/app.ts';
import { randomFrom } from '../helpers/random.ts';

const CLIENTS = 1000;
const AT_ONCE = 16;
const QUEUE_LIMIT = 8; // as many images as one request may have
/** Clients after which the heap is measured: by then caches and pools are full. */
const SETTLED = 300;
/** A leak of 20 kB from every one of the other 700, an upload say, would be 14 MB; nothing kept is measured as 0.4. */
const MOST_GROWTH = 3e6;
const SEED = 1;

setFlagsFromString('--expose-gc');
const gc: () => void = runInNewContext('gc');

let service: TestApp;
let requests: Record<'sample' | 'events' | 'inpaint' | 'candidates', Buffer>;
const warnings: Error[] = [];
const warn = (warning: Error) => warnings.push(warning);
beforeAll(async () => {
  process.on('warning', warn); // MaxListenersExceededWarning is one
  service = await startApp({ QUEUE_LIMIT: String(QUEUE_LIMIT) });
  const [image, mask] = (await Promise.all([pngOf(64, 64), maskOf(64, 64)])).map((f) => f.toString('base64'));
  const large = await Promise.all([pngOf(300, 300), maskOf(300, 300)]);
  const [largeImage, largeMask] = large.map((file) => file.toString('base64'));
  requests = {
    sample: post('/v1/sample', 'image/png', { steps: 1000 }), // nobody stays for the end of it
    events: post('/v1/inpaint', 'text/event-stream', { image, mask, steps: 6, preview_every: 2 }),
    inpaint: post('/v1/inpaint', 'image/png', { image, mask, steps: 4 }),
    candidates: post('/v1/inpaint', 'application/json', {
      image: largeImage,
      mask: largeMask,
      steps: 1,
      num_images: 2,
    }),
  };
});
afterAll(async () => {
  process.off('warning', warn);
  await service.app.close();
});

function post(path: string, accept: string, json: object): Buffer {
  const body = JSON.stringify(json);
  const head = `POST ${path} HTTP/1.1\r\nhost: x\r\naccept: ${accept}\r\ncontent-type: application/json\r\n`;
  return Buffer.from(`${head}content-length: ${body.length}\r\n\r\n${body}`);
}

const random = randomFrom(SEED);
const oneOf = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)];

/** Each sends what it has to, waits for its moment, and goes. */
const MOMENTS = {
  'before its body is complete': async (socket: Socket, request: Buffer) => {
    socket.write(request.subarray(0, Math.floor(random() * request.length)));
    await sleep(random() * 50);
  },
  'at any time': async (socket: Socket, request: Buffer) => {
    socket.write(request);
    await sleep(random() * 800);
  },
  'while it reads': async (socket: Socket, request: Buffer) => {
    socket.write(request);
    for (let left = Math.ceil(random() * 5); left > 0; left--) await once(socket, 'data');
  },
  'without having read': async (socket: Socket, request: Buffer) => {
    socket.pause();
    socket.write(request);
    await sleep(random() * 800);
  },
};

/** Statuses of the answers that somebody still saw. */
const seen = new Set<string>();

async function hangUp() {
  const { port } = new URL(service.url);
  const request = requests[oneOf(['sample', 'events', 'inpaint', 'candidates'] as const)];
  const moment = MOMENTS[oneOf(Object.keys(MOMENTS) as (keyof typeof MOMENTS)[])];
  const reset = random() < 0.5;
  const socket = createConnection({ port: Number(port), host: '127.0.0.1' });
  await once(socket, 'connect');
  socket.on('error', () => {});
  socket.once('data', (data) => seen.add(data.subarray(9, 12).toString()));
  // A picture of one piece brings no second: whoever waits for more than comes goes after a while.
  await Promise.race([moment(socket, request), sleep(1500)]);
  if (reset) socket.resetAndDestroy();
  else socket.destroy();
}

async function hangUpAll(count: number) {
  let left = count;
  const inTurn = async () => {
    while (left-- > 0) await hangUp();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, inTurn));
  await expect.poll(() => service.registry.get().scheduler?.depth).toEqual({ waiting: 0, active: 0 });
  await expect.poll(connections).toBe(0);
}

const connections = () =>
  new Promise<number>((resolve) => service.app.server.getConnections((_error, count) => resolve(count)));

/** Sockets of this process, by Node's own count. */
const sockets = () => process.getActiveResourcesInfo().filter((name) => name.startsWith('TCPSocket')).length;

/** Everything that JavaScript keeps alive, buffers included: collected until there is nothing left to collect. */
async function heap(): Promise<number> {
  for (let before = Number.POSITIVE_INFINITY; ; await sleep(200)) {
    gc();
    const { heapUsed, external } = process.memoryUsage();
    if (heapUsed + external > before * 0.99) return heapUsed + external;
    before = heapUsed + external;
  }
}

test('1,000 clients that hang up leave nothing behind', async () => {
  const socketsBefore = sockets();
  await hangUpAll(SETTLED);
  const settled = await heap();
  await hangUpAll(CLIENTS - SETTLED);
  const growth = (await heap()) - settled;

  expect(growth).toBeLessThan(MOST_GROWTH);
  expect(sockets()).toBeLessThanOrEqual(socketsBefore);
  expect(warnings).toEqual([]);

  // The storm was one: many left before their answer; of the others some were answered and some refused.
  expect((await service.metrics.disconnects.get()).values[0].value).toBeGreaterThan(CLIENTS / 10);
  expect([...seen].sort()).toEqual(['200', '429']);

  // Not a single place is kept by anybody who has gone.
  const all = { method: 'POST', headers: { 'content-type': 'application/json' } };
  const body = JSON.stringify({ steps: 1, num_images: QUEUE_LIMIT });
  const answer = await fetch(`${service.url}/v1/sample`, { ...all, body });
  expect(answer.status).toBe(200);
  expect(await answer.json()).toMatchObject({ images: Array(QUEUE_LIMIT).fill({}) });
}, 600_000);

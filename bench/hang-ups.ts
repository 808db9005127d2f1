/**
 * npm run bench:hang-ups -- [clients] [seed]: does a client that hangs up leave anything behind? Clients hang up before
 * their request is complete, while they wait, or in the middle of the answer. Exits 1 when JavaScript's heap has grown by
 * more than 3 MB after the first 300 clients, when a socket or a place in the queue stays taken, or when Node warns, of a
 * listener leak say. The service runs in this process, since the heap is measured after a forced garbage collection.
 */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { maskOf, pngOf, startApp } from '../tests/helpers/app.ts';
import { randomFrom } from '../tests/helpers/random.ts';

const [CLIENTS = 1000, SEED = 1] = process.argv.slice(2).map(Number);
const AT_ONCE = 16;
const QUEUE_LIMIT = 16;
const IMAGES = 8; // as many as one request may have
/** Clients before the first measurement of the heap: after them caches and pools are full. */
const SETTLED = 300;
/** In bytes. A leak of 20 kB from each of 700 clients, an upload say, would be 14 MB. */
const MAX_GROWTH = 3e6;
const LONGEST_WAIT_MS = 60_000;

setFlagsFromString('--expose-gc');
const gc: () => void = runInNewContext('gc');

const warnings: Error[] = [];
process.on('warning', (warning) => warnings.push(warning)); // MaxListenersExceededWarning is one
const service = await startApp({ QUEUE_LIMIT: String(QUEUE_LIMIT) });
const port = Number(new URL(service.url).port);

const files = await Promise.all([pngOf(64, 64), maskOf(64, 64), pngOf(300, 300), maskOf(300, 300)]);
const [image, mask, largeImage, largeMask] = files.map((file) => file.toString('base64'));
const requests = [
  post('/v1/sample', 'image/png', { steps: 1000 }), // nobody stays for the end of it
  post('/v1/inpaint', 'text/event-stream', { image, mask, steps: 6, preview_every: 2 }),
  post('/v1/inpaint', 'image/png', { image, mask, steps: 4 }),
  post('/v1/inpaint', 'application/json', { image: largeImage, mask: largeMask, steps: 1, num_images: 2 }),
];

const random = randomFrom(SEED);
const oneOf = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)];

/** Each writes its request, or a part of it, and resolves when it is time to hang up. */
const MOMENTS = [
  async function beforeItsBodyIsComplete(socket: Socket, request: Buffer) {
    socket.write(request.subarray(0, Math.floor(random() * request.length)));
    await sleep(random() * 50);
  },
  async function atAnyTime(socket: Socket, request: Buffer) {
    socket.write(request);
    await sleep(random() * 800);
  },
  async function whileItReads(socket: Socket, request: Buffer) {
    socket.write(request);
    for (let left = Math.ceil(random() * 5); left > 0; left--) await once(socket, 'data');
  },
  async function withoutHavingRead(socket: Socket, request: Buffer) {
    socket.pause();
    socket.write(request);
    await sleep(random() * 800);
  },
];

/** How often each status was seen by a client that still read it. */
const seen = new Map<string, number>();
const socketsBefore = sockets();
await hangUpAll(Math.min(SETTLED, CLIENTS));
const settled = await heap();
await hangUpAll(Math.max(0, CLIENTS - SETTLED));
const growth = (await heap()) - settled;
const socketsLeft = sockets() - socketsBefore;

// Every place in the queue is free again.
const everyPlace = await Promise.all(
  Array.from({ length: QUEUE_LIMIT / IMAGES }, async () => {
    const answer = await fetch(`${service.url}/v1/sample`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ steps: 1, num_images: IMAGES }),
    });
    await answer.arrayBuffer();
    return answer.status;
  }),
);
const disconnects = (await service.metrics.disconnects.get()).values[0].value;
await service.app.close();

const answers = [...seen].sort().map(([status, times]) => `${times} × ${status}`);
console.log(
  `${CLIENTS} clients: ${disconnects} hung up before their answer; seen by others: ${answers.join(', ')}`,
);
console.log(`heap: ${(growth / 1e6).toFixed(2)} MB more after the last than after ${SETTLED}`);
console.log(`sockets left: ${socketsLeft}; requests for every place of the queue: ${everyPlace.join(', ')}`);
for (const warning of warnings) console.log(`warning: ${warning.message}`);
const wrongStatus = [...seen.keys()].some((status) => !['200', '429'].includes(status));
if (
  growth > MAX_GROWTH ||
  socketsLeft > 0 ||
  everyPlace.some((status) => status !== 200) ||
  warnings.length > 0 ||
  wrongStatus
)
  process.exitCode = 1;

function post(path: string, accept: string, json: object): Buffer {
  const body = JSON.stringify(json);
  const head = `POST ${path} HTTP/1.1\r\nhost: x\r\naccept: ${accept}\r\ncontent-type: application/json\r\n`;
  return Buffer.from(`${head}content-length: ${body.length}\r\n\r\n${body}`);
}

async function hangUp() {
  const [request, moment, reset] = [oneOf(requests), oneOf(MOMENTS), random() < 0.5];
  const socket = createConnection({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  socket.on('error', () => {});
  socket.once('data', (data) => {
    const status = data.subarray(9, 12).toString();
    seen.set(status, (seen.get(status) ?? 0) + 1);
  });
  // A picture of one piece brings no second: a client that waits for more than comes leaves after a while.
  await Promise.race([moment(socket, request), sleep(1500)]);
  if (reset) socket.resetAndDestroy();
  else socket.destroy();
}

/** Resolves when all have hung up and the service has noticed. */
async function hangUpAll(count: number) {
  let left = count;
  const inTurn = async () => {
    while (left-- > 0) await hangUp();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, inTurn));
  await until(async () => {
    const { waiting = 0, active = 0 } = service.registry.get().scheduler?.depth ?? {};
    return waiting + active === 0 && (await connections()) === 0;
  });
}

async function until(condition: () => Promise<boolean>) {
  const deadline = performance.now() + LONGEST_WAIT_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('connections or places in the queue stay taken');
    await sleep(20);
  }
}

function connections(): Promise<number> {
  return new Promise((resolve) => service.app.server.getConnections((_error, count) => resolve(count)));
}

/** Sockets of this process, by Node's own count. */
function sockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name.startsWith('TCPSocket')).length;
}

/** Bytes that JavaScript keeps alive, buffers included: collected until there is nothing left to collect. */
async function heap(): Promise<number> {
  for (let before = Number.POSITIVE_INFINITY; ; await sleep(200)) {
    gc();
    const { heapUsed, external } = process.memoryUsage();
    if (heapUsed + external > before * 0.99) return heapUsed + external;
    before = heapUsed + external;
  }
}

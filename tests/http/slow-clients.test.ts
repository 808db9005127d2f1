import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import request from 'supertest';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startFakeApp } from './fake-app.ts';

const MAX_CONNECTIONS = 20;
let service: Awaited<ReturnType<typeof startFakeApp>>;
const sockets: Socket[] = [];
beforeEach(async () => {
  // Node's HTTP server measures these times itself, so the tests wait for them: they end with the connection.
  service = await startFakeApp({
    REQUEST_TIMEOUT_MS: '1000',
    SEND_TIMEOUT_MS: '1000',
    MAX_CONNECTIONS: String(MAX_CONNECTIONS),
  });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await service.app.close();
});

function connect(): Socket {
  const socket = createConnection({ port: service.port, host: '127.0.0.1' });
  socket.on('error', () => {}); // the service may close the connection with a reset
  sockets.push(socket);
  return socket;
}

/** Sends `first`, then a piece every 50 ms until the connection closes. Resolves to everything received. */
async function trickle(first: string, piece: string): Promise<string> {
  const socket = connect();
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  socket.write(first);
  const timer = setInterval(() => socket.writable && socket.write(piece), 50);
  await once(socket, 'close');
  clearInterval(timer);
  return answer;
}

const alive = async () => expect((await request(service.url).get('/health/live')).status).toBe(200);
const open = () => new Promise<number>((yes) => service.app.server.getConnections((_, count) => yes(count)));

test.each([
  ['headers', 'GET /v1/models HTTP/1.1\r\nhost: x\r\n', 'x-more: 1\r\n'],
  [
    'a body',
    'POST /v1/sample HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999\r\n\r\n',
    ' ',
  ],
  [
    'a form',
    'POST /v1/inpaint HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: 99999\r\n\r\n' +
      '--b\r\ncontent-disposition: form-data; name="image"; filename="i.png"\r\n\r\n',
    'A',
  ],
  [
    'a chunked body',
    'POST /v1/sample HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n',
    '1\r\n \r\n',
  ],
])('%s sent a few bytes at a time: the connection is closed, and others are served meanwhile', async (_what, first, piece) => {
  const slow = Promise.all(Array.from({ length: MAX_CONNECTIONS - 1 }, () => trickle(first, piece)));
  await alive();
  for (const answer of await slow) expect(answer).toMatch(/^HTTP\/1.1 4(08|15) |^$/);
  await expect.poll(open).toBeLessThan(2);
  await alive();
});

test('headers that arrive too late are answered with an error', async () => {
  const answer = await trickle('GET / HTTP/1.1\r\n', 'a: b\r\n');
  expect(answer).toMatch(/^HTTP\/1.1 408 .*application\/problem\+json.*request-timeout/s);
});

test('connections that send nothing are closed too', async () => {
  const sockets = Array.from({ length: 5 }, () => connect().resume());
  await Promise.all(sockets.map((socket) => once(socket, 'close')));
  expect(sockets.every(({ bytesWritten }) => bytesWritten === 0)).toBe(true); // the service closed them
  await expect.poll(open).toBe(0);
});

describe('a response', () => {
  const ask = (path: string, body: string, accept = 'application/json') =>
    `POST ${path} HTTP/1.1\r\nhost: x\r\naccept: ${accept}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

  test('that the client never reads is aborted', async () => {
    const socket = connect();
    socket.pause();
    // More than the socket buffers of both sides can hold.
    socket.write('GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(400));
    await expect
      .poll(async () => (await service.metrics.disconnects.get()).values[0].value)
      .toBeGreaterThan(0);
    await expect.poll(open).toBe(0);
  });

  test('that is slow to compute, or is streamed, is not aborted', async () => {
    service.registry.engine.delayMs = 700;
    const slow = await request(service.url).post('/v1/sample').send({ steps: 4, seed: 1 });
    expect(slow.status).toBe(200);
    const events = await request(service.url)
      .post('/v1/sample')
      .set('accept', 'text/event-stream')
      .send({ steps: 3 });
    expect(events.text).toContain('event: result');
  });

  test('keeps the connection open for the next request, which has the full time limit', async () => {
    const socket = connect();
    let answers = '';
    socket.on('data', (data) => {
      answers += data.toString('latin1');
    });
    const body = '{"steps":1,"seed":1}';
    for (let n = 1; n <= 3; n++) {
      service.registry.engine.delayMs = n === 3 ? 1500 : 1;
      socket.write(ask('/v1/sample', body));
      await expect.poll(() => answers.match(/HTTP\/1.1 200/g)?.length).toBe(n);
    }
  });
});

test('connections beyond MAX_CONNECTIONS are closed at once and counted, and accepted again when there is room', async () => {
  const held = Array.from({ length: MAX_CONNECTIONS }, connect);
  await expect.poll(open).toBe(MAX_CONNECTIONS);
  await once(connect().resume(), 'close');
  expect((await service.metrics.connectionsRefused.get()).values[0].value).toBe(1);
  for (const socket of held) socket.destroy();
  await expect.poll(open).toBe(0);
  await alive();
});

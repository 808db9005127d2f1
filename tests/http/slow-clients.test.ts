import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import request from 'supertest';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { startFakeApp } from './fake-app.ts';

const MAX_CONNECTIONS = 20;
const hash = (key: string) => createHash('sha256').update(key).digest('hex');
const KEYS = `alice:${hash('alice-key')},bob:${hash('bob-key')}`;
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
  service.registry.engine.resume();
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

test('a connection without a request does not delay the shutdown', async () => {
  const [silent, slow] = [connect(), connect()];
  slow.write('GET / HTTP/1.1\r\n');
  await expect.poll(open).toBe(2);
  const closed = Promise.all([silent, slow].map((socket) => once(socket, 'close')));
  await service.app.close();
  await closed;
});

/** Longer than SEND_TIMEOUT_MS. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 1800));

test('a quiet stream of events is not a client that reads nothing', async () => {
  service.registry.engine.hold();
  const answer = request(service.url)
    .post('/v1/sample')
    .set('accept', 'text/event-stream')
    .buffer(true)
    .send({ steps: 2 });
  const ended = answer.then(({ text }) => text);
  await pause();
  service.registry.engine.resume();
  expect(await ended).toContain('event: result');
});

test('a pipelined request may take longer than SEND_TIMEOUT_MS', async () => {
  service.registry.engine.hold();
  const socket = connect();
  let received = '';
  socket.on('data', (data) => {
    received += data;
  });
  const body = JSON.stringify({ steps: 2 });
  const head = `content-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close`;
  socket.write(
    `GET /health/live HTTP/1.1\r\nhost: x\r\n\r\nPOST /v1/sample HTTP/1.1\r\nhost: x\r\n${head}\r\n\r\n${body}`,
  );
  const closed = once(socket, 'close');
  await pause();
  service.registry.engine.resume();
  await closed;
  expect(received.match(/HTTP\/1.1 200/g)).toHaveLength(2);
});

test('headers that arrive too late are answered with an error', async () => {
  const answer = await trickle('GET / HTTP/1.1\r\n', 'a: b\r\n');
  expect(answer).toMatch(/^HTTP\/1.1 408 .*application\/problem\+json.*request-timeout/s);
});

test('connections that send nothing are closed too', async () => {
  const sockets = Array.from({ length: 5 }, () => connect().resume());
  await Promise.all(sockets.map((socket) => once(socket, 'close'))); // by the service
  await expect.poll(open).toBe(0);
});

describe('a response', () => {
  const ask = (path: string, body: string, accept = 'application/json') =>
    `POST ${path} HTTP/1.1\r\nhost: x\r\naccept: ${accept}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

  test('that the client no longer reads is aborted', async () => {
    const { registry } = service;
    // Some 10 MB: more than the socket buffers of both sides hold.
    vi.spyOn(registry, 'list').mockReturnValue(Array(4000).fill(registry.get()));
    const socket = connect();
    socket.write('GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n');
    const [head] = await once(socket, 'data');
    socket.pause();
    await expect.poll(open).toBe(0);
    let received = head.length;
    socket.on('data', ({ length }) => {
      received += length;
    });
    socket.resume();
    await once(socket, 'close');
    expect(received).toBeLessThan(Number(/content-length: (\d+)/.exec(head.toString())?.[1]));
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

describe('beyond MAX_CONNECTIONS', () => {
  const refused = async () => (await service.metrics.connectionsRefused.get()).values[0].value;
  /** Connections that wait for the events of a job which does not run, so that they last longer than REQUEST_TIMEOUT_MS. */
  async function hold(count: number): Promise<Socket[]> {
    service.registry.engine.hold();
    const { body } = await request(service.url).post('/v1/jobs').send({ task: 'sample' });
    const held = Array.from({ length: count }, connect);
    for (const socket of held) {
      socket.pause(); // reads nothing
      socket.write(`GET ${body.events} HTTP/1.1\r\nhost: x\r\n\r\n`);
    }
    await expect.poll(open).toBe(count);
    return held;
  }

  test('probes and scrapes are answered, and other requests refused, until there is room', async () => {
    const held = await hold(MAX_CONNECTIONS);
    for (let n = 0; n < 5; n++) await alive();
    expect((await request(service.url).get('/metrics')).status).toBe(200);
    const other = await request(service.url).get('/v1/models');
    expect([other.status, other.body.type]).toEqual([503, '/problems/too-many-connections']);
    expect(other.headers).toMatchObject({ connection: 'close', 'retry-after': '5' });
    expect(await refused()).toBe(1);
    await expect.poll(open).toBe(MAX_CONNECTIONS); // the probes' connections are closed
    for (const socket of held) socket.destroy();
    await expect.poll(open).toBe(0);
    expect((await request(service.url).get('/v1/models')).status).toBe(200);
  });

  test('connections that send nothing are closed, and give way to probes meanwhile', async () => {
    await hold(MAX_CONNECTIONS);
    const accepted: Socket[] = [];
    let most = 0;
    service.app.server.on('connection', (socket) => {
      accepted.push(socket);
      most = Math.max(most, accepted.filter(({ destroyed }) => !destroyed).length);
    });
    const silent = Array.from({ length: 100 }, () => connect().resume());
    const closed = Promise.all(silent.map((socket) => once(socket, 'close')));
    await alive();
    await closed;
    expect(await refused()).toBe(100);
    expect(accepted.length).toBeGreaterThan(100);
    expect(most).toBeLessThanOrEqual(32);
    await alive();
  });

  test('idle streams of events end with their job', async () => {
    await hold(MAX_CONNECTIONS);
    service.registry.engine.resume();
    await expect.poll(open).toBe(0);
  });
});

test('each client has at most MAX_EVENT_STREAMS streams, and gets places back when it closes them', async () => {
  await service.app.close();
  service = await startFakeApp({ MAX_EVENT_STREAMS: '3', API_KEYS: KEYS });
  const ask = (method: 'get' | 'post', path: string, key: string) =>
    request(service.url)[method](path).set('x-api-key', key);
  service.registry.engine.hold();
  const follow = async (key: string) => {
    const { body } = await ask('post', '/v1/jobs', key).send({ task: 'sample' });
    return { events: body.events as string, key };
  };
  const [alice, bob] = [await follow('alice-key'), await follow('bob-key')];
  const stream = async ({ events, key }: typeof alice) => {
    const socket = connect();
    socket.write(`GET ${events} HTTP/1.1\r\nhost: x\r\nx-api-key: ${key}\r\n\r\n`);
    const [head] = await once(socket, 'data');
    return { socket, status: Number(/^HTTP\/1.1 (\d+)/.exec(head.toString())?.[1]), head: head.toString() };
  };
  const streams = [await stream(alice), await stream(alice), await stream(alice)];
  expect(streams.map(({ status }) => status)).toEqual([200, 200, 200]);
  const tooMany = await stream(alice);
  expect(tooMany.head).toMatch(/^HTTP\/1.1 429 .*connection: close.*too-many-streams/is);
  expect((await stream(bob)).status).toBe(200);
  streams[0].socket.destroy();
  await expect.poll(async () => (await stream(alice)).status).toBe(200);
});

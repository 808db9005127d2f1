import { once } from 'node:events';
import { createConnection } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startFakeApp } from './fake-app.ts';

let service: Awaited<ReturnType<typeof startFakeApp>>;
beforeEach(async () => {
  service = await startFakeApp();
});
afterEach(async () => {
  service.registry.engine.resume();
  await service.app.close();
});

function connect() {
  const socket = createConnection({ port: service.port, host: '127.0.0.1' });
  socket.on('error', () => {}); // the service may close the connection with a reset
  return socket;
}

const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nhost: x\r\n${headers}\r\n`;
const sample = (body: string) =>
  `POST /v1/sample HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

test('a request begins when the answer before it has been sent', async () => {
  const { registry, url } = service;
  const listed = vi.spyOn(registry, 'list');
  registry.engine.hold();
  let answers = '';
  const socket = connect().on('data', (data) => {
    answers += data;
  });
  socket.write(sample('{"steps":1,"seed":1}') + get('/v1/models') + get('/', 'connection: close\r\n'));
  await registry.engine.blocked;
  await fetch(`${url}/health/live`); // by now, the others of the same packet have arrived
  expect(listed).not.toHaveBeenCalled();
  registry.engine.resume();
  await once(socket, 'close');
  expect(listed).toHaveBeenCalledOnce();
  expect(answers).toMatch(/200 OK.*image\/png.*200 OK.*"fake".*200 OK.*<html/s);
});

test('when the connection breaks, requests that wait for the answer to another end, too', async () => {
  const { registry, metrics } = service;
  const listed = vi.spyOn(registry, 'list');
  registry.engine.hold();
  const socket = connect();
  socket.write(sample('{"steps":2}') + get('/v1/models').repeat(2));
  await registry.engine.blocked;
  socket.resetAndDestroy();
  await expect.poll(async () => (await metrics.disconnects.get()).values[0].value).toBe(3);
  registry.engine.resume();
  await expect.poll(() => registry.scheduler.admission.idle).toBe(true);
  expect(listed).not.toHaveBeenCalled();
});

test('a connection that breaks is noticed behind a large body, too', async () => {
  const { registry } = service;
  registry.engine.hold();
  const socket = connect();
  socket.write(sample('{"steps":2}') + sample(`{"steps":2,${' '.repeat(400_000)}"seed":1}`));
  await registry.engine.blocked;
  socket.resetAndDestroy();
  await expect.poll(() => registry.scheduler.admission.idle).toBe(true); // while the engine is blocked
  registry.engine.resume();
});

test('when an answer closes the connection, requests that wait for it end, too', async () => {
  const { app, registry, metrics } = service;
  const listed = vi.spyOn(registry, 'list');
  registry.engine.hold();
  const socket = connect().resume();
  socket.write(sample('{"steps":1}') + get('/v1/models').repeat(2));
  await registry.engine.blocked;
  app.draining = true;
  registry.engine.resume();
  await once(socket, 'close');
  await expect.poll(async () => (await metrics.disconnects.get()).values[0].value).toBe(2);
  expect(listed).not.toHaveBeenCalled();
});

test('a connection that pipelines many requests is closed, and others are answered', async () => {
  let answered = '';
  const greedy = connect().on('data', (data) => {
    answered += data;
  });
  greedy.write(get('/health/live').repeat(500));
  await once(greedy, 'close');
  expect(answered.match(/HTTP\/1.1 200/g)?.length ?? 0).toBeLessThanOrEqual(8);
  expect((await fetch(`${service.url}/health/live`)).status).toBe(200);

  let answers = '';
  const modest = connect().on('data', (data) => {
    answers += data;
  });
  modest.write(get('/health/live').repeat(7) + get('/health/live', 'connection: close\r\n'));
  await once(modest, 'close');
  expect(answers.match(/HTTP\/1.1 200/g)).toHaveLength(8);
});

import { once } from 'node:events';
import { createConnection } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { metric } from '../helpers/metric.ts';
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

test('when the connection breaks, requests that wait for the answer to another end, too', async () => {
  service.registry.engine.hold();
  const socket = connect();
  socket.write(sample('{"steps":2}').repeat(3));
  await service.registry.engine.blocked;
  await expect.poll(() => metric(service.url, 'ddpm_inpaint_queue_depth{model="fake@1"}')).toBe(2);
  socket.resetAndDestroy();
  await expect.poll(() => metric(service.url, 'ddpm_inpaint_client_disconnects_total')).toBe(3);
  service.registry.engine.resume();
  await expect.poll(() => service.registry.scheduler.admission.idle).toBe(true);
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

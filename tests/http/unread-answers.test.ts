import { once } from 'node:events';
import { createConnection } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { maskOf } from '../helpers/app.ts';
import { metric } from '../helpers/metric.ts';
import { noise, raw } from '../image/make.ts';
import { startFakeApp } from './fake-app.ts';

let service: Awaited<ReturnType<typeof startFakeApp>>;
beforeEach(async () => {
  service = await startFakeApp({ SEND_TIMEOUT_MS: '1000' });
});
afterEach(() => service.app.close());

test('the pictures of an answer count as memory until the client has read it, or has left', async () => {
  const held = () => metric(service.url, 'ddpm_inpaint_picture_bytes');
  const [width, height] = [2000, 1500];
  const body = JSON.stringify({
    image: (
      await raw(noise(width, height, 3))
        .jpeg({ quality: 100 })
        .toBuffer()
    ).toString('base64'),
    mask: (await maskOf(width, height, 0.01)).toString('base64'),
    num_images: 3,
    format: 'png',
    steps: 1,
  });
  const socket = createConnection({ port: service.port, host: '127.0.0.1' });
  socket.write(
    `POST /v1/inpaint HTTP/1.1\r\nhost: x\r\naccept: application/json\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  const [head] = (await once(socket, 'data')) as [Buffer];
  socket.pause();
  const [, length] = /^HTTP\/1.1 200 .*content-length: (\d+)/s.exec(head.toString('latin1')) ?? [];
  expect(Number(length)).toBeGreaterThan(20_000_000); // more than the socket buffers of both sides can hold
  expect(await held()).toBeGreaterThan(0);
  socket.destroy();
  await expect.poll(held).toBe(0);
});

test.each([
  ['the client leaves', true],
  ['the client no longer reads', false],
])('an answer that is not delivered because %s does not count as one', async (_why, leaves) => {
  const { registry, metrics, log } = service;
  // Some 10 MB, sent at once: more than the socket buffers of both sides hold.
  vi.spyOn(registry, 'list').mockReturnValue(Array(4000).fill(registry.get()));
  const socket = createConnection({ port: service.port, host: '127.0.0.1' });
  socket.on('error', () => {}); // the service may close the connection with a reset
  socket.write('GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n');
  await once(socket, 'data');
  socket.pause();
  if (leaves) socket.destroy();
  const lines = () => log.filter(({ route }) => route === '/v1/models');
  await expect.poll(lines, { timeout: 5000 }).toHaveLength(1);
  expect(lines()[0].msg).toBe('GET /v1/models client disconnected');
  expect((await metrics.disconnects.get()).values[0].value).toBe(1);
  expect((await metrics.httpRequests.get()).values).toEqual([]);
  socket.destroy();
});

import { once } from 'node:events';
import { createConnection } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { maskOf } from '../helpers/app.ts';
import { metric } from '../helpers/metric.ts';
import { noise, raw } from '../image/make.ts';
import { startFakeApp } from './fake-app.ts';

let service: Awaited<ReturnType<typeof startFakeApp>>;
beforeEach(async () => {
  service = await startFakeApp();
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

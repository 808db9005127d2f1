import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import sharp from 'sharp';
import request from 'supertest';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { maskOf, pngOf, startApp, type TestApp } from '../helpers/app.ts';

let service: TestApp;
beforeAll(async () => {
  service = await startApp({ QUEUE_LIMIT: '16' });
});
afterAll(() => service.app.close());

/** Reads a stream to its end and returns its events. */
async function events(path: string, body: object) {
  const { status, headers, text } = await request(service.url)
    .post(path)
    .set('accept', 'text/event-stream')
    .buffer(true)
    .send(body);
  if (status !== 200) return { status, headers, list: [] };
  const list = text
    .trim()
    .split('\n\n')
    .filter((block) => !block.startsWith(':'))
    .map((block) => {
      const [event, data] = block.split('\n');
      return { event: event.replace('event: ', ''), data: JSON.parse(data.replace('data: ', '')) };
    });
  return { status, headers, list };
}

test('a stream reports the queue, every step with a preview, and the result', async () => {
  const body = {
    image: (await pngOf(64, 64)).toString('base64'),
    mask: (await maskOf(64, 64)).toString('base64'),
    steps: 6,
    seed: 3,
    preview_every: 2,
    preview_noisy: true,
  };
  const { headers, list } = await events('/v1/inpaint', body);
  expect(headers['content-type']).toContain('text/event-stream');
  expect(list[0]).toMatchObject({ event: 'queued', data: { position: expect.any(Number) } });
  const steps = list.filter(({ event }) => event === 'progress').map(({ data }) => data);
  expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(steps.every(({ of, eta_ms }) => of === 6 && eta_ms >= 0)).toBe(true);
  expect(steps.at(-1)?.eta_ms).toBe(0);
  const previews = steps.filter(({ preview }) => preview);
  expect(previews.map(({ step }) => step)).toEqual([2, 4, 6]);
  const picture = Buffer.from(previews[0].preview.split(',')[1], 'base64');
  expect(await sharp(picture).metadata()).toMatchObject({ format: 'webp', width: 64, height: 64 });
  const noisy = previews.map((step) => Buffer.from(step.noisy.split(',')[1], 'base64'));
  const deviations = await Promise.all(
    noisy.map(async (file) => (await sharp(file).stats()).channels[0].stdev),
  );
  expect(deviations[0]).toBeGreaterThan(deviations[2]); // there is less noise in it at the end
  for (const [i, { timestep, abar }] of steps.slice(1).entries()) {
    expect(timestep).toBeLessThan(steps[i].timestep);
    expect(abar).toBeGreaterThan(steps[i].abar);
  }

  const last = list.at(-1);
  const plain = await request(service.url).post('/v1/inpaint').set('accept', 'application/json').send(body);
  expect(last?.event).toBe('result');
  expect({ ...last?.data, timings_ms: 0 }).toEqual({ ...plain.body, timings_ms: 0 });
});

test('a large result is the same in an event and as JSON', async () => {
  const noise = sharp(randomBytes(1000 * 700 * 3), { raw: { width: 1000, height: 700, channels: 3 } });
  const body = {
    image: (await noise.png().toBuffer()).toString('base64'),
    mask: (await maskOf(1000, 700, 0.1)).toString('base64'),
    steps: 1,
    seed: 3,
    num_images: 2,
  };
  const { list } = await events('/v1/inpaint', body);
  const plain = await request(service.url).post('/v1/inpaint').set('accept', 'application/json').send(body);
  expect(Number(plain.headers['content-length'])).toBeGreaterThan(2 ** 20);
  const last = { ...list.at(-1)?.data, timings_ms: 0 };
  expect(last.images).toHaveLength(2);
  expect(JSON.stringify(last) === JSON.stringify({ ...plain.body, timings_ms: 0 })).toBe(true);
});

test('an invalid request is answered with a problem, before the stream starts', async () => {
  expect((await events('/v1/sample', { steps: 0 })).status).toBe(400);
  const image = (await pngOf(64, 64)).toString('base64');
  const empty = (await maskOf(64, 64, 0)).toString('base64');
  expect((await events('/v1/inpaint', { image, mask: empty })).status).toBe(400);
  const small = (await maskOf(32, 32)).toString('base64');
  expect((await events('/v1/inpaint', { image, mask: small })).status).toBe(400);
});

test('a later failure is an error event that contains the problem', async () => {
  const doomed = events('/v1/sample', { steps: 400, num_images: 8 });
  const other = events('/v1/sample', { steps: 400, num_images: 8 }); // fills the queue
  const inSystem = () => {
    const { waiting = 0, active = 0 } = service.registry.get().scheduler?.depth ?? {};
    return active > 0 ? waiting + active : 0;
  };
  await expect.poll(inSystem).toBe(16);
  expect((await events('/v1/sample', { steps: 2 })).status).toBe(429); // before its stream begins
  // Every worker killed again and again: the evaluation fails on all of them.
  let over = false;
  void Promise.all([doomed, other]).finally(() => {
    over = true;
  });
  const killAll = () => {
    for (const pid of service.registry.get().workers?.pids ?? []) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {} // it has exited already
    }
  };
  await expect
    .poll(() => {
      killAll();
      return over;
    })
    .toBe(true);
  const { list } = await doomed;
  await other;
  expect(list.at(-1)).toMatchObject({ event: 'error', data: { type: '/problems/engine-failure' } });
  // The registry may not have noticed yet that the last worker was killed, so send a real request.
  const again = () => request(service.url).post('/v1/sample').send({ steps: 1 });
  await expect.poll(async () => (await again()).status).toBe(200);
});

test('clients that disconnect or do not read do not block others', async () => {
  const { port } = new URL(service.url);
  const body = JSON.stringify({ steps: 1000, preview_every: 1 });
  const open = () => {
    const socket = createConnection({ port: Number(port), host: '127.0.0.1' });
    socket.write(
      `POST /v1/sample HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\ncontent-type: application/json\r\n` +
        `content-length: ${body.length}\r\n\r\n${body}`,
    );
    return socket;
  };
  const sockets = [open(), open()];
  for (const socket of sockets) {
    const [begun] = await once(socket, 'data'); // the response has started; the rest is not read
    expect(String(begun)).toContain('HTTP/1.1 200');
    socket.pause();
  }
  // Wait until both are accepted. How many of them are active depends on the number of workers.
  const inside = () => {
    const { waiting = 0, active = 0 } = service.registry.get().scheduler?.depth ?? {};
    return waiting + active;
  };
  await expect.poll(inside).toBe(2);
  const { list } = await events('/v1/sample', { steps: 5 });
  expect(list.at(-1)?.event).toBe('result');
  for (const socket of sockets) socket.destroy();
  await expect.poll(() => service.registry.get().scheduler?.depth).toEqual({ waiting: 0, active: 0 });
});

import sharp from 'sharp';
import request from 'supertest';
import { afterEach, expect, test } from 'vitest';
import { startFakeApp } from './fake-app.ts';

type Service = Awaited<ReturnType<typeof startFakeApp>>;
let service: Service;
afterEach(() => service.app.close());

const post = (body: object) => request(service.url).post('/v1/jobs').send(body);
const job = async (id: string) => (await request(service.url).get(`/v1/jobs/${id}`)).body;
const picture = (channels: 3 | 1) =>
  sharp({ create: { width: 16, height: 16, channels: 3, background: 'white' } })
    .toColourspace(channels === 3 ? 'srgb' : 'b-w')
    .png()
    .toBuffer()
    .then((file) => file.toString('base64'));

async function megapixelsObserved(): Promise<number> {
  const { values } = await service.metrics.pictureMegapixels.get();
  return values.find(({ metricName }) => metricName?.endsWith('_count'))?.value ?? 0;
}

test('beyond JOB_LIMIT nothing is decoded, and Retry-After depends on the remaining work', async () => {
  service = await startFakeApp({ JOB_LIMIT: '1' });
  service.registry.engine.delayMs = 100;
  const retryAfter: number[] = [];
  for (const steps of [10, 100]) {
    const { body: running } = await post({ task: 'sample', steps }).expect(202);
    await expect.poll(async () => (await job(running.id)).progress.step).toBeGreaterThan(1);
    // If this damaged picture were decoded, the status would be 400.
    const refused = await post({ image: Buffer.from('not a picture').toString('base64') }).expect(429);
    expect(refused.body).toMatchObject({ type: '/problems/job-limit', status: 429 });
    expect(refused.body.detail).toContain('JOB_LIMIT is reached: 1 unfinished');
    retryAfter.push(Number(refused.headers['retry-after']));
    await request(service.url).delete(`/v1/jobs/${running.id}`).expect(200);
    await expect.poll(() => service.registry.scheduler.depth.active).toBe(0);
  }
  expect(retryAfter[0]).toBeGreaterThanOrEqual(1);
  expect(retryAfter[1]).toBeGreaterThan(retryAfter[0]); // ten times as many steps remain
});

test('a flood of jobs leaves room for a request', async () => {
  service = await startFakeApp();
  const { scheduler, engine } = service.registry;
  const resume = engine.hold();
  for (let seed = 0; seed < 12; seed++)
    await post({ task: 'sample', num_images: 8, steps: 2, seed }).expect(202);
  const images = () => scheduler.depth.waiting + scheduler.depth.active;
  await expect.poll(images).toBe(8);
  const answer = request(service.url).post('/v1/sample').send({ steps: 1, num_images: 8 }).then();
  await expect.poll(images).toBe(16);
  resume();
  expect((await answer).status).toBe(200);
});

test('beyond JOB_INPUT_BYTES nothing is decoded, and the same picture is accepted later', async () => {
  service = await startFakeApp({ JOB_INPUT_BYTES: '1024' });
  const resume = service.registry.engine.hold();
  const image = await picture(3);
  const mask = await picture(1);
  const large = Buffer.concat([Buffer.from(image, 'base64'), Buffer.alloc(1000)]).toString('base64');
  const { body: running } = await post({ image: large, mask }).expect(202);
  const damaged = await post({ image: Buffer.alloc(500).toString('base64') }).expect(429);
  expect(damaged.body).toMatchObject({ type: '/problems/job-limit', status: 429 });
  expect(damaged.body.detail).toContain('JOB_INPUT_BYTES is reached');
  expect(Number(damaged.headers['retry-after'])).toBeGreaterThanOrEqual(1);
  await request(service.url).delete(`/v1/jobs/${running.id}`).expect(200);
  resume();
  await post({ image, mask }).expect(202);
});

test('metrics count the picture of an accepted job once', async () => {
  service = await startFakeApp({ JOB_LIMIT: '1' });
  const body = { image: await picture(3), mask: await picture(1) };
  const { body: accepted } = await post(body).expect(202);
  await expect.poll(async () => (await job(accepted.id)).status).toBe('succeeded');
  expect(await megapixelsObserved()).toBe(1);
});

test('the step of a job never decreases, and its events arrive in step order', async () => {
  service = await startFakeApp();
  const { body: accepted } = await post({ task: 'sample', steps: 30, preview_every: 3 }).expect(202);
  const steps: number[] = [];
  const { text } = await request(service.url).get(`/v1/jobs/${accepted.id}/events`).buffer(true);
  for (const [, data] of text.matchAll(/event: progress\ndata: (.*)\n/g)) steps.push(JSON.parse(data).step);
  expect(steps).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
  expect((await job(accepted.id)).progress).toEqual({ step: 30, of: 30 });
  expect(text.trim().split('\n\n').at(-1)).toContain('event: result');
});

test('requests to a model that loads count towards QUEUE_LIMIT, until their clients leave', async () => {
  service = await startFakeApp({});
  const { registry, url } = service;
  registry.engine.rowSeconds = {}; // its speed is not known yet
  let loaded = () => {};
  registry.loading = new Promise<void>((resolve) => {
    loaded = resolve;
  }).then(() => {
    registry.loading = undefined;
  });
  const { admission } = registry.scheduler;
  const room = () => {
    try {
      admission.reserve(1).release();
      return true;
    } catch {
      return false;
    }
  };
  const leaving = new AbortController();
  const send = (signal?: AbortSignal) =>
    fetch(`${url}/v1/sample`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"num_images":8,"steps":1}',
      signal,
    });
  const waiting = [send(leaving.signal), send(leaving.signal)].map((answer) => answer.catch(() => 'left'));
  await expect.poll(room).toBe(false);
  expect((await send()).status).toBe(429);
  leaving.abort();
  expect(await Promise.all(waiting)).toEqual(['left', 'left']);
  await expect.poll(() => admission.idle).toBe(true);
  const answer = send();
  loaded();
  expect((await answer).status).toBe(200);
});

test('a repeated Idempotency-Key is answered while its model is not ready', async () => {
  service = await startFakeApp({});
  const resume = service.registry.engine.hold();
  const send = () => post({ task: 'sample', seed: 1 }).set('idempotency-key', 'one');
  const { body: first } = await send().expect(202);
  service.registry.notReadyReason = 'no worker';
  await post({ task: 'sample' }).expect(503);
  expect((await send().expect(200)).body.id).toBe(first.id);
  service.registry.notReadyReason = undefined;
  await request(service.url).delete(`/v1/jobs/${first.id}`).expect(200);
  resume();
});

test('a repeated Idempotency-Key is answered before JOB_LIMIT is checked', async () => {
  service = await startFakeApp({ JOB_LIMIT: '1' });
  const resume = service.registry.engine.hold();
  const send = () => post({ task: 'sample', seed: 1 }).set('idempotency-key', 'one');
  const { body: first } = await send().expect(202);
  const { body: second } = await send().expect(200);
  expect(second.id).toBe(first.id);
  await request(service.url).delete(`/v1/jobs/${first.id}`).expect(200);
  resume();
});

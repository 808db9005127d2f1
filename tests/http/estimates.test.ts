import request from 'supertest';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { maskOf, pngOf } from '../helpers/app.ts';
import { startFakeApp } from './fake-app.ts';

let service: Awaited<ReturnType<typeof startFakeApp>>;
beforeEach(async () => {
  service = await startFakeApp();
  service.registry.engine.rowSeconds = { base: 1 };
});
afterEach(() => service.app.close());

const sample = (body: object) => request(service.url).post('/v1/sample').send(body);

test('a request whose answer would take more than a minute gets 422 and the advice to send a job', async () => {
  const { status, body } = await sample({ steps: 61 });
  expect(status).toBe(422);
  expect(body).toMatchObject({
    type: '/problems/takes-too-long',
    detail: expect.stringMatching(/about 61 seconds on the server.*send it to \/v1\/jobs/),
  });
  expect((await sample({ steps: 31, num_images: 2 })).status).toBe(422);
  expect(service.registry.engine.tookMs).toEqual([]); // nothing was evaluated
  expect(service.registry.scheduler.admission.idle).toBe(true);
  expect((await sample({ steps: 60 })).status).toBe(200);
});

test('fills and requests of other clients are refused too', async () => {
  service.registry.engine.rowSeconds = { base: 100 };
  const form = request(service.url).post('/v1/inpaint');
  const fill = await form
    .attach('image', await pngOf(16, 16), 'image.png')
    .attach('mask', await maskOf(16, 16), 'mask.png');
  expect(fill.body.type).toBe('/problems/takes-too-long');
  const generation = await request(service.url).post('/v1/images/generations').send({ prompt: 'x' });
  expect(generation.status).toBe(422);
  expect(generation.body.error.code).toBe('takes_too_long');
});

test('a job of any length is accepted, and says how long it takes until it has ended', async () => {
  const resume = service.registry.engine.hold();
  const { status, body } = await request(service.url)
    .post('/v1/jobs')
    .send({ task: 'sample', steps: 50, num_images: 2 });
  expect(status).toBe(202);
  expect(body.estimate_seconds).toBe(100);
  service.registry.engine.rowSeconds = { base: 2 };
  const view = async () => (await request(service.url).get(`/v1/jobs/${body.id}`)).body;
  expect((await view()).estimate_seconds).toBe(200);
  resume();
  await expect.poll(async () => (await view()).status).toBe('succeeded');
  expect((await view()).estimate_seconds).toBeUndefined();
});

test('a model says how long it takes', async () => {
  const { body } = await request(service.url).get('/v1/models/fake');
  expect(body.speed).toEqual({
    seconds_per_evaluation: { base: 1 },
    evaluations_per_fill: 4,
    seconds_per_fill: 4,
  });
  service.registry.engine.rowSeconds = {};
  expect((await request(service.url).get('/v1/models/fake')).body.speed).toBeUndefined();
});

test('MAX_SYNC_MS sets the limit', async () => {
  await service.app.close();
  service = await startFakeApp({ MAX_SYNC_MS: '5000' });
  service.registry.engine.rowSeconds = { base: 1 };
  expect((await sample({ steps: 6 })).status).toBe(422);
  expect((await sample({ steps: 5 })).status).toBe(200);
});

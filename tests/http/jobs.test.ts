import sharp from 'sharp';
import { Webhook } from 'standardwebhooks';
import request from 'supertest';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { maskOf, pngOf, startApp, type TestApp } from '../helpers/app.ts';
import { startReceiver } from '../helpers/receiver.ts';

let service: TestApp;
let receiver: Awaited<ReturnType<typeof startReceiver>>;
let image: string;
let mask: string;
beforeAll(async () => {
  receiver = await startReceiver();
  const webhooks = { WEBHOOK_ORIGINS: receiver.origin, WEBHOOK_SECRET: 'a-secret-for-tests' };
  service = await startApp({ QUEUE_LIMIT: '16', JOB_LIMIT: '20', ...webhooks });
  image = (await pngOf(64, 64)).toString('base64');
  mask = (await maskOf(64, 64)).toString('base64');
});
afterAll(async () => {
  receiver.server.close();
  await service.app.close();
});

const get = (path: string) => request(service.url).get(path);
const post = (body: object) => request(service.url).post('/v1/jobs').send(body);
const ended = async (id: string) => {
  const finished = async () => (await get(`/v1/jobs/${id}`)).body.finished_at;
  await expect.poll(finished).toBeTruthy();
  return (await get(`/v1/jobs/${id}`)).body;
};

test('a job runs, reports progress, and gives the same picture as a direct request', async () => {
  const body = { image, mask, steps: 4, seed: 11 };
  const created = await post(body);
  expect(created.status).toBe(202);
  expect(created.body).toMatchObject({ task: 'inpaint', parameters: { steps: 4, seed: 11 } });
  expect(created.headers.location).toBe(`/v1/jobs/${created.body.id}`);
  const job = await ended(created.body.id);
  expect(job).toMatchObject({ status: 'succeeded', progress: { step: 4, of: 4 } });
  expect(new Date(job.finished_at).getTime()).toBeGreaterThanOrEqual(new Date(job.created_at).getTime());

  const picture = await get(job.images[0]);
  expect(picture.headers['content-type']).toBe('image/png');
  const atOnce = await request(service.url).post('/v1/inpaint').set('accept', 'image/png').send(body);
  const pixels = (file: Buffer) => sharp(file).raw().toBuffer();
  expect((await pixels(picture.body)).equals(await pixels(atOnce.body))).toBe(true);
  expect((await get(`/v1/jobs/${job.id}/images/1`)).status).toBe(404);
});

test('sampling jobs from JSON and forms, and the list of all jobs', async () => {
  const form = await request(service.url)
    .post('/v1/jobs')
    .field('task', 'sample')
    .field('steps', '2')
    .field('num_images', '2');
  expect(form.status).toBe(202);
  const job = await ended(form.body.id);
  expect(job).toMatchObject({ task: 'sample', status: 'succeeded', progress: { step: 4, of: 4 } });
  expect(job.images).toHaveLength(2);
  const { body } = await get('/v1/jobs?status=succeeded&limit=1');
  expect(body.jobs.map(({ id }: { id: string }) => id)).toEqual([job.id]);
  expect((await get('/v1/jobs?status=lost')).status).toBe(400);
});

test('the event stream is complete, and resumes after Last-Event-ID', async () => {
  const { body } = await post({ task: 'sample', steps: 5 });
  const all = await get(`/v1/jobs/${body.id}/events`).buffer(true);
  expect(all.headers['content-type']).toContain('text/event-stream');
  const names = [...all.text.matchAll(/^event: (\w+)$/gm)].map(([, name]) => name);
  expect(names).toEqual(['queued', ...Array(5).fill('progress'), 'result']);
  const rest = await get(`/v1/jobs/${body.id}/events`).set('last-event-id', '5').buffer(true);
  expect([...rest.text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => id)).toEqual(['6', '7']);
});

test('a repeated Idempotency-Key returns the same job; with another request it is a conflict', async () => {
  const send = (body: object) => post(body).set('idempotency-key', 'abc');
  const first = await send({ task: 'sample', steps: 2 });
  const again = await send({ task: 'sample', steps: 2 });
  expect([first.status, again.status]).toEqual([202, 200]);
  expect(again.body.id).toBe(first.body.id);
  const other = await send({ task: 'sample', steps: 3 });
  expect(other.status).toBe(409);
  expect(other.body.type).toBe('/problems/idempotency-conflict');
  await ended(first.body.id);
});

test('invalid requests are refused at once', async () => {
  expect((await post({})).body.errors[0].pointer).toBe('#/image');
  expect((await post({ task: 'sample', image })).body.errors[0].pointer).toBe('#/image');
  expect((await post({ image, mask: image.slice(0, 400) })).body.type).toBe('/problems/unreadable-picture');
  expect((await post({ image, mask, steps: 5000 })).body.errors[0].pointer).toBe('#/steps');
  for (const path of ['', '/events', '/images/0']) {
    const { status, body } = await get(`/v1/jobs/nobody${path}`);
    expect(status).toBe(404);
    expect(body.type).toBe('/problems/unknown-job');
  }
});

test('a picture that a job does not have (yet) is not a job that does not exist', async () => {
  const { body: job } = await post({ task: 'sample', steps: 300, num_images: 4 });
  const early = await get(`/v1/jobs/${job.id}/images/0`);
  expect([early.status, early.body.type]).toEqual([404, '/problems/no-such-picture']);
  await request(service.url).delete(`/v1/jobs/${job.id}`);
});

test('an id may be written in capitals', async () => {
  const { body } = await post({ task: 'sample', steps: 1 });
  await ended(body.id);
  const path = `/v1/jobs/${body.id.toUpperCase()}`;
  for (const each of [path, `${path}/events`, `${path}/images/0`]) expect((await get(each)).status).toBe(200);
  expect((await request(service.url).delete(path)).body.id).toBe(body.id);
});

test('jobs wait if the queue is full, are refused with 429 beyond the limit, and leave when cancelled', async () => {
  const created = await Promise.all(
    Array.from({ length: 30 }, (_, seed) => post({ task: 'sample', steps: 300, num_images: 4, seed })),
  );
  const accepted = created.filter(({ status }) => status === 202).map(({ body }) => body.id);
  const refused = created.filter(({ status }) => status === 429);
  expect([accepted.length, refused.length]).toEqual([20, 10]);
  expect(Number(refused[0].headers['retry-after'])).toBeGreaterThan(0);

  await expect.poll(async () => (await get('/v1/jobs?status=running')).body.jobs.length).toBeGreaterThan(0);
  for (const id of accepted) {
    const { body } = await request(service.url).delete(`/v1/jobs/${id}`);
    expect(body.status).toBe('cancelled');
  }
  await expect.poll(() => service.registry.get().scheduler?.depth).toEqual({ waiting: 0, active: 0 });
  await ended((await post({ task: 'sample', steps: 1 })).body.id);
  expect((await request(service.url).delete(`/v1/jobs/${accepted[0]}`)).status).toBe(200); // deletes the record
  expect((await get(`/v1/jobs/${accepted[0]}`)).status).toBe(404);
});

test('events contain a preview every preview_every steps', async () => {
  const { body } = await post({ task: 'sample', steps: 4, preview_every: 2 });
  const { text } = await get(`/v1/jobs/${body.id}/events`).buffer(true);
  // Previews of steps 2 and 4; a client that connects late receives only the latest one.
  const previews = text.match(/data:image\/webp;base64,[\w+/=]+/g) ?? [];
  expect(previews.length).toBeGreaterThan(0);
  expect(previews.length).toBeLessThanOrEqual(2);
  const { width, format } = await sharp(Buffer.from(String(previews[0]).split(',')[1], 'base64')).metadata();
  expect([width, format]).toEqual([64, 'webp']);
});

test('a webhook receives the finished job, signed; other origins are never called', async () => {
  const { body } = await post({ task: 'sample', steps: 2, webhook: `${receiver.origin}/done?x=1` });
  await expect.poll(() => receiver.calls.length).toBe(1);
  const [{ url, headers, text }] = receiver.calls;
  expect(url).toBe('/done?x=1');
  expect(headers['webhook-id']).toBe(body.id);
  const webhook = new Webhook('a-secret-for-tests', { format: 'raw' });
  const told = webhook.verify(text, headers as Record<string, string>);
  expect(told).toEqual((await get(`/v1/jobs/${body.id}`)).body);

  for (const webhook of [
    'https://example.org/',
    receiver.origin.replace('127.0.0.1', 'localhost'),
    'file:///x',
  ]) {
    const refused = await post({ task: 'sample', steps: 2, webhook });
    expect(refused.status).toBe(400);
    expect(refused.body.errors[0].pointer).toBe('#/webhook');
  }
});

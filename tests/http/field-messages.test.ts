import { randomUUID } from 'node:crypto';
import request from 'supertest';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pngOf, startApp, type TestApp } from '../helpers/app.ts';

let service: TestApp;
beforeAll(async () => {
  service = await startApp();
});
afterAll(() => service.app.close());

const form = () => request(service.url).post('/v1/jobs').field('task', 'sample');

test('messages about fields name what was sent, not what the service made of it', async () => {
  const file = await pngOf(8, 8);
  const job = (webhook: string) => request(service.url).post('/v1/jobs').send({ task: 'sample', webhook });
  const answers = [
    [await form().attach('steps', file, 'a.png'), 'steps: must be a number, not a file'],
    [await form().field('other[]', '1'), 'other[]: unknown field'],
    [await request(service.url).get('/v1/jobs?limit=1&limit=2'), 'limit: must be one number'],
    [await job('ftp://example.org/'), 'webhook: must be a URL that starts with http:// or https://'],
    [await job('https://example.org/'), 'the origin of webhook is not one of WEBHOOK_ORIGINS'],
    [await request(service.url).get(`/v1/jobs/${randomUUID()}/images/x`), 'n: must be one number'],
  ] as const;
  for (const [{ status, body }, detail] of answers)
    expect([status, body.detail]).toEqual([400, expect.stringContaining(detail)]);
  expect(answers[1][0].body.errors[0].pointer).toBe('#/other%5B%5D');
});

test('a number of a form may have spaces around it', async () => {
  expect((await form().field('steps', ' 2 ')).status).toBe(202);
});

import request from 'supertest';
import { expect, onTestFinished, test, vi } from 'vitest';
import { receiverForTest } from '../helpers/receiver.ts';
import { startFakeApp } from './fake-app.ts';

// A webhook that fails is tried again at once.
vi.mock('node:timers/promises', () => ({ setTimeout: async () => {} }));

/** A service whose jobs may call a receiver that answers with `status`. */
async function serviceFor(status: number) {
  const receiver = await receiverForTest(() => [status]);
  const service = await startFakeApp({
    WEBHOOK_ORIGINS: receiver.origin,
    WEBHOOK_SECRET: 'a-secret-for-tests',
  });
  onTestFinished(() => service.app.close());
  const post = (webhook: string) =>
    request(service.url).post('/v1/jobs').send({ task: 'sample', steps: 1, webhook });
  const counted = async () =>
    (await request(service.url).get('/metrics')).text.match(/^ddpm_inpaint_webhooks_total.*$/gm);
  return { ...service, receiver, post, counted };
}

test('a webhook that is given up is in the log, without its path, and counted', async () => {
  const { receiver, post, counted, log } = await serviceFor(500);
  const { body: job } = await post(`${receiver.origin}/private?token=abc`).expect(202);
  await expect
    .poll(counted)
    .toEqual([
      'ddpm_inpaint_webhooks_total{result="delivered"} 0',
      'ddpm_inpaint_webhooks_total{result="failed"} 1',
    ]);
  const lines = log.filter(({ msg }) => msg === 'webhook given up');
  expect(lines).toMatchObject([
    { level: 40, job: job.id, origin: receiver.origin, err: { message: 'answered 500' } },
  ]);
  expect(JSON.stringify(log)).not.toMatch(/private|token/);
});

test('a webhook that is delivered is counted', async () => {
  const { receiver, post, counted, log } = await serviceFor(204);
  await post(`${receiver.origin}/`).expect(202);
  await expect
    .poll(counted)
    .toEqual([
      'ddpm_inpaint_webhooks_total{result="delivered"} 1',
      'ddpm_inpaint_webhooks_total{result="failed"} 0',
    ]);
  expect(log.filter(({ level }) => level >= 40)).toEqual([]);
});

test.each([
  'user:password@',
  'user@',
  ':password@',
])('a URL with %s, which could never be called, is refused', async (login) => {
  const { receiver, post } = await serviceFor(204);
  const { body } = await post(receiver.origin.replace('//', `//${login}`)).expect(400);
  expect(body.errors).toEqual([
    { pointer: '#/webhook', detail: 'must not contain a user name or a password' },
  ]);
});

test('what is no URL is refused as that', async () => {
  const { post } = await serviceFor(204);
  const { body } = await post('http://').expect(400);
  expect(body.errors).toEqual([
    { pointer: '#/webhook', detail: 'must be a URL that starts with http:// or https://' },
  ]);
});

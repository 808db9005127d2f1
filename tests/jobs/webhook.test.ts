import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { post, retried, WEBHOOK_DELAY_MS, WEBHOOK_TRIES } from '../../src/jobs/webhook.ts';
import { type Call, receiverForTest } from '../helpers/receiver.ts';

/** What is waited for between two tries, in milliseconds; nobody really waits. */
const waits = vi.hoisted((): number[] => []);
vi.mock('node:timers/promises', () => ({ setTimeout: async (ms: number) => void waits.push(ms) }));

const SECRET = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD';
/** What `whsec_$(openssl rand -base64 32)` gives. */
const RECOMMENDED = `whsec_${randomBytes(32).toString('base64')}`;

/** Posts to the receiver, whose origin alone is allowed. */
const postTo = ({ origin }: { origin: string }, secret = SECRET) =>
  post(`${origin}/hook?x=1`, 'job-1', { status: 'succeeded', note: 'é' }, { origins: [origin], secret });

const headersOf = ({ headers }: Call) => headers as Record<string, string>;

describe('a signed post', () => {
  test.each([
    ['a secret in the notation of Standard Webhooks', SECRET, new Webhook(SECRET)],
    ['32 bytes as base64', RECOMMENDED, new Webhook(RECOMMENDED)],
    ['any other secret', 'a-secret-for-tests', new Webhook('a-secret-for-tests', { format: 'raw' })],
  ])('%s: a receiver that uses the reference library accepts it', async (_, secret, receiverSide) => {
    const receiver = await receiverForTest();
    await postTo(receiver, secret);
    const [call] = receiver.calls;
    expect(call).toMatchObject({ method: 'POST', url: '/hook?x=1' });
    expect(call.headers).toMatchObject({ 'content-type': 'application/json', 'webhook-id': 'job-1' });
    expect(receiverSide.verify(call.text, headersOf(call))).toEqual({ status: 'succeeded', note: 'é' });
    const other = new Webhook('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
    expect(() => other.verify(call.text, headersOf(call))).toThrow('No matching signature');
  });

  test.each([200, 204])('%i is taken for received', async (status) => {
    const receiver = await receiverForTest(() => [status]);
    await postTo(receiver);
    expect(receiver.calls).toHaveLength(1);
  });

  test.each([400, 404, 410, 500, 503])('%i is an error: it is to be tried again', async (status) => {
    const receiver = await receiverForTest(() => [status]);
    await expect(postTo(receiver)).rejects.toThrow(`answered ${status}`);
  });
});

describe('no other origin is ever called', () => {
  test.each([301, 302, 303, 307, 308])('a redirect with %i is not followed', async (status) => {
    const internal = await receiverForTest();
    const receiver = await receiverForTest(() => [status, { location: `${internal.origin}/secret` }]);
    await expect(postTo(receiver)).rejects.toThrow();
    expect(receiver.calls).toHaveLength(1);
    expect(internal.calls).toEqual([]);
  });

  test('a URL that is not on the list is not called', async () => {
    const receiver = await receiverForTest();
    const { port } = new URL(receiver.origin);
    const elsewhere = { origins: [`http://localhost:${port}`, 'http://127.0.0.1'], secret: SECRET };
    await expect(post(`${receiver.origin}/`, 'job-1', {}, elsewhere)).rejects.toThrow('allowed origins');
    expect(receiver.calls).toEqual([]);
  });
});

describe('retries', () => {
  const never = new AbortController().signal;
  const failing = (failures: number, onTry = (_isLast: boolean) => {}) => {
    let tries = 0;
    return async (isLast: boolean) => {
      onTry(isLast);
      if (tries++ < failures) throw new Error('not now');
    };
  };
  beforeEach(() => void waits.splice(0));

  test('wait twice as long after every failure, and stop at the first success', async () => {
    await retried(failing(4), never);
    expect(waits).toEqual([1, 2, 4, 8].map((n) => n * WEBHOOK_DELAY_MS));
  });

  test('end quietly after WEBHOOK_TRIES', async () => {
    const onTry = vi.fn();
    await retried(failing(Number.POSITIVE_INFINITY, onTry), never);
    expect(onTry.mock.calls).toEqual([...Array(WEBHOOK_TRIES - 1).fill([false]), [true]]);
    expect(waits).toHaveLength(WEBHOOK_TRIES - 1);
  });

  test('end when the signal aborts', async () => {
    const closing = new AbortController();
    await retried(
      failing(2, () => closing.abort()),
      closing.signal,
    );
    expect(waits).toEqual([]);
  });
});

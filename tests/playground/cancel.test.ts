import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { fill } from '../../src/playground/service/fill.ts';

const request = { fields: {}, image: new Blob(), mask: new Blob(), key: '' };
const reports = { phase: vi.fn(), frame: vi.fn(), visited: vi.fn(), accepted: vi.fn() };

let sent: string[];
let stop: AbortController;
/** What the service answers to POST, once it is called. */
let answer: (response: Response) => void;
beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  stop = new AbortController();
  vi.stubGlobal('fetch', async (path: string, { method = 'GET', signal }: RequestInit = {}) => {
    signal?.throwIfAborted();
    sent.push(`${method} ${path}`);
    if (method !== 'POST') return new Response(null, { status: 204 });
    return new Promise<Response>((resolve, reject) => {
      answer = resolve;
      signal?.addEventListener('abort', () => {
        sent.push('given up');
        reject(signal.reason);
      });
    });
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const accepted = () => Response.json({ id: 'late', parameters: {}, images: [] }, { status: 202 });

test('a fill that is cancelled before the service has accepted it ends at once, and its job once it is known', async () => {
  const filling = fill(request, reports, stop.signal);
  stop.abort();
  await expect(filling).rejects.toBe(stop.signal.reason);
  expect(sent).toEqual(['POST v1/jobs']);
  answer(accepted());
  await vi.waitFor(() => expect(sent).toEqual(['POST v1/jobs', 'DELETE v1/jobs/late']));
  expect(vi.getTimerCount()).toBe(0);
});

test('an answer that does not come is waited for no longer than a minute', async () => {
  const filling = fill(request, reports, stop.signal);
  stop.abort();
  await expect(filling).rejects.toBe(stop.signal.reason);
  await vi.advanceTimersByTimeAsync(59_000);
  expect(sent).toEqual(['POST v1/jobs']);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(sent).toEqual(['POST v1/jobs', 'given up']);
});

test('a service that was busy is not asked again for a fill that is cancelled', async () => {
  const filling = fill(request, reports, stop.signal);
  stop.abort();
  answer(Response.json({}, { status: 429 }));
  await expect(filling).rejects.toBe(stop.signal.reason);
  await vi.advanceTimersByTimeAsync(61_000);
  expect(sent).toEqual(['POST v1/jobs']);
});

test('a fill that is cancelled before it is sent is not sent, and its job of before a reload is cancelled', async () => {
  stop.abort();
  await expect(fill(request, reports, stop.signal)).rejects.toBe(stop.signal.reason);
  expect(sent).toEqual([]);
  const job = { id: 'earlier', fields: {} };
  await expect(fill(request, reports, stop.signal, job)).rejects.toBe(stop.signal.reason);
  expect(sent).toEqual(['DELETE v1/jobs/earlier']);
});

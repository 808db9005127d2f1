import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type AcceptedJob, fill } from '../../src/playground/service/fill.ts';
import { ServiceError } from '../../src/playground/service/http.ts';
import { sentenceFor } from '../../src/playground/service/sentences.ts';

const request = { fields: { steps: '2' }, image: new Blob(), mask: new Blob(), key: '' };
const reports = { phase: vi.fn(), frame: vi.fn(), visited: vi.fn(), accepted: vi.fn() };

/** Times at which a request was sent, and its seed. */
let sent: { at: number; seed: unknown }[];
beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
  sent = [];
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A service that forgets each job as soon as it has accepted it. It fails after a while, so that no test lasts for ever. */
const forgetting = async (_: string, { method, body }: RequestInit = {}) => {
  if (sent.length === 10) return Response.json({}, { status: 500 });
  if (method !== 'POST') return Response.json({ type: '/problems/unknown-job' }, { status: 404 });
  sent.push({ at: Date.now(), seed: (body as FormData).get('seed') });
  const parameters = { seed: 7, model: 'fake@1' };
  return Response.json({ id: `job-${sent.length}`, parameters, images: [] }, { status: 202 });
};

async function fillAll(job?: AcceptedJob) {
  vi.stubGlobal('fetch', forgetting);
  const filling = fill(request, reports, new AbortController().signal, job).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(60_000);
  return filling;
}

test('a fill that the service loses each time is sent three times, with a pause', async () => {
  const error = await fillAll();
  expect(sent).toEqual([
    { at: 0, seed: null },
    { at: 2000, seed: '7' },
    { at: 4000, seed: '7' },
  ]);
  expect(error).toBeInstanceOf(ServiceError);
  expect(sentenceFor(error)).toMatchObject({
    place: 'fill',
    text: expect.stringContaining('lost this fill'),
  });
});

test('one that was accepted before the page was reloaded is sent three times more', async () => {
  await fillAll({ id: 'earlier', fields: { seed: '8' } });
  expect(sent.map(({ at }) => at)).toEqual([2000, 4000, 6000]);
  expect(sent[0].seed).toBe('8');
});

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { fill } from '../../src/playground/service/fill.ts';

const request = { fields: {}, image: new Blob(), mask: new Blob(), key: '' };
const reports = { phase: vi.fn(), frame: vi.fn(), visited: vi.fn(), accepted: vi.fn() };
const JOB = { id: 'job', parameters: { seed: 7, model: 'fake@1' }, images: ['0', '1'] };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** The first part of an answer, after which the connection breaks. */
function broken(): Response {
  const chunks = [new Uint8Array([123])];
  const body = new ReadableStream({
    pull(controller) {
      const chunk = chunks.pop();
      if (chunk) controller.enqueue(chunk);
      else controller.error(new TypeError('network error'));
    },
  });
  return new Response(body);
}

/** A service that has filled at once. The first answer of each kind breaks off. */
function breakingService() {
  const asked: string[] = [];
  const answer = (name: string) => {
    if (name.endsWith('/events')) return new Response('event: result\ndata: {"seed":7}\n\n');
    return name.includes('/images/') ? new Response(`picture ${name.at(-1)}`) : Response.json(JOB);
  };
  vi.stubGlobal('fetch', async (path: string, { method = 'GET' }: RequestInit = {}) => {
    const name = `${method} ${path}`;
    asked.push(name);
    return asked.filter((each) => each === name).length === 1 ? broken() : answer(name);
  });
  return asked;
}

test('a connection that breaks in the middle of an answer loses no fill', async () => {
  const asked = breakingService();
  const filling = fill(request, reports, new AbortController().signal);
  const [{ answer, files }] = await Promise.all([filling, vi.advanceTimersByTimeAsync(60_000)]);
  expect(answer.seed).toBe(7);
  expect(await Promise.all(files.map((file) => file.text()))).toEqual(['picture 0', 'picture 1']);
  const paths = ['POST v1/jobs', 'GET v1/jobs/job/events', 'GET v1/jobs/job'];
  const images = [0, 1].map((n) => `GET v1/jobs/job/images/${n}`);
  expect(asked).toEqual([...paths, ...images].flatMap((each) => [each, each]));
  expect(reports.phase).toHaveBeenLastCalledWith({ name: 'receiving' }); // no longer that it waits
});

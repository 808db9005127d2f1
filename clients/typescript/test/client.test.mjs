/** Tests against a running service, whose address is in SERVICE, and its key, if it needs one, in API_KEY. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { InpaintClient, ServiceError } from 'ddpm-inpaint-client';

const { SERVICE, API_KEY: apiKey, EXAMPLES = '../../examples' } = process.env;
const client = new InpaintClient(SERVICE, { apiKey, pollMs: 50 });
const image = new Uint8Array(await readFile(path.join(EXAMPLES, 'face-1.png')));
const mask = new Uint8Array(await readFile(path.join(EXAMPLES, 'mask-1.png')));
const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');

test('fills a hole, and a seed gives the same picture again, as a job too', async () => {
  const first = await client.fill(image, { mask });
  assert.ok(Number.isInteger(first.seed));
  assert.match(first.model, /@/);
  const { seed } = first;
  const again = await client.fill(new Blob([image]), { mask: new Blob([mask]), seed });
  assert.equal(digest(again.picture), digest(first.picture));
  const [job] = await client.job(image, { mask, seed });
  assert.deepEqual({ ...job, picture: digest(job.picture) }, { ...first, picture: digest(first.picture) });
});

test('a job has one picture for each candidate, and tells its state', async () => {
  const states = [];
  const onProgress = ({ status }) => states.push(status);
  const jobs = await client.job(image, { mask, seed: 7, num_images: 2, onProgress });
  assert.equal(jobs.length, 2);
  assert.notEqual(digest(jobs[0].picture), digest(jobs[1].picture));
  assert.equal(states.at(-1), 'succeeded');
});

test('a job needs no picture', async () => {
  const drawn = await client.job(undefined, { task: 'sample', steps: 2 });
  assert.equal(drawn.length, 1);
});

test('file in, file out', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'client-'));
  t.after(() => rm(folder, { recursive: true }));
  const target = path.join(folder, 'filled.jpg');
  await client.fillFile(path.join(EXAMPLES, 'face-1.png'), target, {
    mask: path.join(EXAMPLES, 'mask-1.png'),
  });
  assert.deepEqual([...(await readFile(target)).subarray(0, 3)], [0xff, 0xd8, 0xff]);
  await assert.rejects(client.fillFile('x', 'y.bmp'), TypeError);
});

test('streams the progress', async () => {
  const events = [];
  for await (const event of client.stream(image, { mask, seed: 7, steps: 4 })) events.push(event);
  assert.deepEqual(
    events.map(({ event }) => event),
    ['queued', ...Array(events.length - 2).fill('progress'), 'result'],
  );
  assert.ok(events.length > 2);
  assert.equal(events.at(-1).data.seed, 7);
});

test('streams without asynchronous iteration of streams, and ends the request when its loop is left', async (t) => {
  const { prototype } = ReadableStream;
  const property = Object.getOwnPropertyDescriptor(prototype, Symbol.asyncIterator);
  t.after(() => Object.defineProperty(prototype, Symbol.asyncIterator, property));
  delete prototype[Symbol.asyncIterator];
  let ended = false;
  const start = (controller) =>
    controller.enqueue(new TextEncoder().encode('event: queued\ndata: {"position":0}\n\n'));
  const cancel = () => {
    ended = true;
  };
  t.mock.method(globalThis, 'fetch', async () => new Response(new ReadableStream({ start, cancel })));
  for await (const { event } of client.stream(image, { mask })) {
    assert.equal(event, 'queued');
    break;
  }
  assert.ok(ended);
});

test('a refusal says which field is wrong', async () => {
  for (const call of [
    () => client.fill(image, { mask, steps: 0 }),
    () => client.job(image, { mask, steps: 0 }),
  ]) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof ServiceError);
      assert.equal(error.problem.errors[0].pointer, '#/steps');
      return true;
    });
  }
  await assert.rejects(async () => {
    for await (const _ of client.stream(image, { mask: image.subarray(0, 9) }));
  }, ServiceError);
});

/**
 * A proxy that refuses the first requests with 429, drops those whose numbers are named, or answers them with a status, and
 * forwards the others to the service. May break off the first answer of each path.
 */
async function busyFirst(t, { refusals = 0, dropped = [], statuses = {}, tears = false }) {
  const seen = [];
  const torn = new Set();
  const server = createServer(async (request, response) => {
    seen.push(request.headers['idempotency-key']);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (dropped.includes(seen.length)) return request.socket.destroy();
    const status = statuses[seen.length];
    if (status) return response.writeHead(status).end('<html>');
    if (refusals-- > 0) return response.writeHead(429, { 'retry-after': '0' }).end('too many');
    const { host, connection, ...headers } = request.headers;
    const body = chunks.length > 0 ? Buffer.concat(chunks) : undefined;
    const answer = await fetch(SERVICE + request.url, { method: request.method, headers, body });
    const bytes = Buffer.from(await answer.arrayBuffer());
    const type = answer.headers.get('content-type');
    response.writeHead(answer.status, { 'content-type': type, 'content-length': bytes.length });
    if (!tears || torn.has(request.url)) return response.end(bytes);
    torn.add(request.url);
    response.write(bytes.subarray(0, bytes.length / 2), () => request.socket.destroy());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${server.address().port}`, seen, torn };
}

test('a job is sent again after 429, with the same key', async (t) => {
  const { url, seen } = await busyFirst(t, { refusals: 2 });
  const filled = await new InpaintClient(url, { apiKey, pollMs: 50 }).job(image, { mask, steps: 2 });
  assert.equal(filled.length, 1);
  assert.ok(seen[0]);
  assert.deepEqual(seen.slice(0, 3), [seen[0], seen[0], seen[0]]);
});

test('a job survives lost connections', async (t) => {
  const { url, seen } = await busyFirst(t, { dropped: [1, 3] });
  const filled = await new InpaintClient(url, { apiKey, pollMs: 50 }).job(image, { mask, steps: 2 });
  assert.equal(filled.length, 1);
  assert.equal(seen[0], seen[1]);
  const once = await busyFirst(t, { dropped: [1] });
  await assert.rejects(new InpaintClient(once.url, { apiKey }).fill(image, { mask }), TypeError);
});

test('a job survives a proxy that loses its connections to the service', async (t) => {
  const { url, seen } = await busyFirst(t, { statuses: { 1: 502, 3: 504, 4: 502 } });
  const filled = await new InpaintClient(url, { apiKey, pollMs: 50 }).job(image, { mask, steps: 2 });
  assert.equal(filled.length, 1);
  assert.equal(seen[0], seen[1]);
  const once = await busyFirst(t, { statuses: { 1: 502 } });
  await assert.rejects(new InpaintClient(once.url, { apiKey }).fill(image, { mask }), ServiceError);
});

test('a job survives connections that break in the middle of an answer', async (t) => {
  const { url, torn } = await busyFirst(t, { tears: true });
  const breaking = new InpaintClient(url, { apiKey, pollMs: 50 });
  const options = { mask, steps: 2, num_images: 2, seed: 7 };
  const filled = await breaking.job(image, options);
  assert.ok(
    ['/v1/jobs', '/images/0', '/images/1'].every((end) => [...torn].some((url) => url.endsWith(end))),
  );
  assert.deepEqual(filled, await breaking.job(image, options));
  torn.clear();
  await assert.rejects(breaking.fill(image, { mask }), TypeError);
});

test('a job whose signal aborts is cancelled', async () => {
  const controller = new AbortController();
  let id;
  const onProgress = (job) => {
    id = job.id;
    controller.abort();
  };
  const { signal } = controller;
  const job = client.job(image, { mask, steps: 100, num_images: 4, onProgress, signal, seed: null });
  await assert.rejects(job, { name: 'AbortError' });
  const headers = apiKey ? { authorization: `Bearer ${apiKey}` } : {};
  assert.equal((await (await fetch(`${SERVICE}/v1/jobs/${id}`, { headers })).json()).status, 'cancelled');
});

test('a service that does not answer a cancellation holds nobody up', { timeout: 20_000 }, async (t) => {
  const limit = new AbortController();
  const timeout = t.mock.method(AbortSignal, 'timeout', () => limit.signal);
  const server = createServer((request, response) => {
    request.resume();
    if (request.method === 'POST') response.writeHead(202).end('{"id":"a","status":"running"}');
    if (request.method === 'DELETE') limit.abort();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close().closeAllConnections());
  const controller = new AbortController();
  const options = { mask, signal: controller.signal, onProgress: () => controller.abort() };
  const { port } = server.address();
  const job = new InpaintClient(`http://127.0.0.1:${port}`).job(image, options);
  await assert.rejects(job, { name: 'AbortError' });
  assert.deepEqual(
    timeout.mock.calls.map((call) => call.arguments),
    [[5000]],
  );
});

test('a job whose onProgress throws is cancelled', async () => {
  let id;
  const onProgress = (job) => {
    id = job.id;
    throw new RangeError('of the caller');
  };
  const job = client.job(image, { mask, steps: 1000, sampler: 'ddpm', onProgress });
  await assert.rejects(job, RangeError);
  const headers = apiKey ? { authorization: `Bearer ${apiKey}` } : {};
  assert.equal((await (await fetch(`${SERVICE}/v1/jobs/${id}`, { headers })).json()).status, 'cancelled');
});

test('a finished job stays when onProgress throws, and a page in place of its picture is asked for once', async (t) => {
  const job = {
    id: '1',
    status: 'succeeded',
    images: ['/v1/jobs/1/images/0'],
    parameters: { model: 'm@1', seed: 7 },
  };
  const fetched = t.mock.method(globalThis, 'fetch', async (url) =>
    url.endsWith('/images/0')
      ? new Response('<html>', { headers: { 'content-type': 'text/html' } })
      : Response.json(job),
  );
  const sent = () =>
    fetched.mock.calls.map(
      ({ arguments: [url, { method = 'GET' }] }) => `${method} ${new URL(url).pathname}`,
    );
  const offline = new InpaintClient('http://localhost');
  const onProgress = () => {
    throw new RangeError('of the caller');
  };
  await assert.rejects(offline.job(image, { mask, onProgress }), RangeError);
  assert.deepEqual(sent(), ['POST /v1/jobs']);
  await assert.rejects(offline.job(image, { mask }), /text\/html, not a picture/);
  assert.deepEqual(sent().slice(1), ['POST /v1/jobs', 'GET /v1/jobs/1/images/0']);
});

test('an answer that is no picture is not taken for one', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'client-'));
  t.after(() => rm(folder, { recursive: true }));
  const target = path.join(folder, 'filled.png');
  let headers = { 'content-type': 'text/html' };
  t.mock.method(globalThis, 'fetch', async () => new Response('<html>', { headers }));
  const source = path.join(EXAMPLES, 'face-1.png');
  await assert.rejects(client.fillFile(source, target), /text\/html, not a picture/);
  headers = { 'content-type': 'image/png' };
  await assert.rejects(client.fillFile(source, target), /x-model or x-seed/);
  await assert.rejects(readFile(target), { code: 'ENOENT' });
});

/** Makes pauses end at once. Returns their milliseconds. */
function pausesOf(t) {
  const pauses = [];
  t.mock.method(globalThis, 'setTimeout', (resume, ms) => {
    pauses.push(ms);
    resume();
  });
  return pauses;
}

test('options that are undefined have their defaults, and no pause is longer than a timer can be', async (t) => {
  const answers = t.mock.method(globalThis, 'fetch', async () => {
    assert.ok(answers.mock.callCount() < 10, 'it must give up');
    return new Response('', { status: 429, headers: { 'retry-after': '3000000' } });
  });
  const pauses = pausesOf(t);
  const unset = new InpaintClient(SERVICE, { retries: undefined, pollMs: undefined });
  await assert.rejects(unset.fill(image), ServiceError);
  assert.deepEqual(pauses, Array(5).fill(2 ** 31 - 1));
  await assert.rejects(new InpaintClient(SERVICE, { retries: -1 }).fill(image), ServiceError);
  assert.equal(pauses.length, 5);
  const states = ['running', 'cancelled'];
  answers.mock.mockImplementation(async () => Response.json({ id: 'a', status: states.shift() }));
  await assert.rejects(unset.job(image), /cancelled/);
  assert.equal(pauses.at(-1), 500);
});

/** A server, and its answer, not sent yet, to a job whose signal has aborted since. */
async function abortedJob(t) {
  const server = createServer((request) => request.resume());
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const controller = new AbortController();
  const posted = once(server, 'request');
  const slow = new InpaintClient(`http://127.0.0.1:${server.address().port}`);
  const job = slow.job(image, { mask, signal: controller.signal });
  const [, created] = await posted;
  controller.abort();
  await assert.rejects(job, { name: 'AbortError' });
  return { server, created };
}

test('an answer that comes after the signal has aborted and is no JSON breaks nothing', {
  timeout: 20_000,
}, async (t) => {
  const { created } = await abortedJob(t);
  created.writeHead(200, { connection: 'close' }).end('<html>');
  await once(created, 'close');
  await new Promise((resolve) => setTimeout(resolve, 100)); // an unhandled rejection would fail the test
});

test('a job whose signal aborts before the service answers is cancelled too', {
  timeout: 20_000,
}, async (t) => {
  const { server, created } = await abortedJob(t);
  const next = once(server, 'request');
  created.writeHead(202).end('{"id":"late"}');
  const [{ method, url }, answer] = await next;
  answer.end();
  assert.equal(`${method} ${url}`, 'DELETE /v1/jobs/late');
});

test('gives up after its retries, and when it is told to', async (t) => {
  const { url } = await busyFirst(t, { refusals: 3 });
  const error = await new InpaintClient(url, { retries: 1 }).fill(image, { mask }).catch((thrown) => thrown);
  assert.equal(error.problem.status, 429);
  const signal = AbortSignal.abort();
  await assert.rejects(client.fill(image, { mask, signal }), { name: 'AbortError' });
  await assert.rejects(client.job(image, { mask, signal }), { name: 'AbortError' });
});

import { createConnection } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startFakeApp } from './fake-app.ts';

let service: Awaited<ReturnType<typeof startFakeApp>>;
beforeEach(async () => {
  service = await startFakeApp({ REQUEST_TIMEOUT_MS: '1000' });
});
afterEach(() => service.app.close());

/** Sends bytes and resolves to everything received until the service closes the connection. */
function raw(bytes: string): Promise<string> {
  const socket = createConnection({ port: service.port, host: '127.0.0.1' }, () => socket.write(bytes));
  return new Promise((resolve) => {
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    socket.on('close', () => resolve(answer));
  });
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`;
const upload =
  'POST /v1/sample HTTP/1.1\r\nhost: x\r\nx-request-id: mine\r\ncontent-type: application/json\r\n';

test.each([
  ['not HTTP', 'GARBAGE\r\n\r\n', 400, 'invalid-request', 'unknown'],
  [
    'headers too long',
    `GET / HTTP/1.1\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`,
    431,
    'headers-too-large',
    'unknown',
  ],
  ['headers too late', 'GET / HTTP/1.1\r\nhost: x\r\n', 408, 'request-timeout', 'unknown'],
  ['an unreadable path', get('/v1/models/%zz'), 400, 'invalid-request', 'unknown'],
  ['a parameter too long', get(`/v1/models/${'a'.repeat(200)}`), 404, 'not-found', 'unknown'],
  ['a body too late', `${upload}content-length: 99\r\n\r\n{`, 408, 'request-timeout', '/v1/sample'],
  [
    'a chunk without a size',
    `${upload}transfer-encoding: chunked\r\n\r\nnone\r\n`,
    400,
    'invalid-request',
    '/v1/sample',
  ],
])('refused before its route runs: %s; counted, and logged once with the id of the answer', async (_what, bytes, status, problem, route) => {
  const answer = await raw(bytes);
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} .*/problems/${problem}`, 's'));
  const id = /x-request-id: (\S+)/.exec(answer)?.[1];
  if (bytes.includes('x-request-id')) expect(id).toBe('mine');
  const lines = () => service.log.filter(({ request_id }) => request_id === id);
  await expect.poll(lines).toMatchObject([{ status, problem }]);
  const counts = async (metric: 'failures' | 'httpRequests' | 'disconnects') =>
    (await service.metrics[metric].get()).values.flatMap(({ labels, value }) =>
      value > 0 ? { ...labels, value } : [],
    );
  expect(await counts('failures')).toEqual([{ reason: problem, value: 1 }]);
  expect(await counts('httpRequests')).toEqual([expect.objectContaining({ route, status, value: 1 })]);
  expect(await counts('disconnects')).toEqual([]);
});

test('a connection without a byte is no request', async () => {
  expect(await raw('')).toMatch(/^HTTP\/1.1 408 /);
  expect((await service.metrics.httpRequests.get()).values).toEqual([]);
  expect(service.log.filter(({ status }) => status)).toEqual([]);
});

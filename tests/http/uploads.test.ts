import { EventEmitter, once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createConnection, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { Uploads } from '../../src/http/uploads.ts';
import { startFakeApp } from './fake-app.ts';

let service: Awaited<ReturnType<typeof startFakeApp>>;
const start = async (env: Record<string, string>) => {
  service = await startFakeApp({ MAX_UPLOAD_BYTES: '60000', MAX_UPLOADS_BYTES: '100000', ...env });
};
afterEach(() => service.app.close());

const TYPES = ['application/json', 'multipart/form-data; boundary=b'];
const START = {
  [TYPES[0]]: '{"image": "',
  [TYPES[1]]: '--b\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\n',
};

/** Sends the first `bytes` of a body of 59,000, then `piece` every 50 ms. Resolves to the answer. */
function stall(type: string, bytes: number, piece = '') {
  const socket = createConnection({ port: service.port, host: '127.0.0.1' });
  const head = `POST /v1/inpaint HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ncontent-length: 59000\r\n\r\n`;
  socket.write(head + START[type].padEnd(bytes, 'A'));
  const timer = setInterval(() => piece && socket.writable && socket.write(piece), 50);
  return new Promise<string>((resolve) => {
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
      if (/\r\n\r\n.*\}/s.test(answer)) socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearInterval(timer);
      resolve(answer);
    });
  });
}

test.each(TYPES)('stalled bodies are bounded together, and end: %s', async (type) => {
  await start({ UPLOAD_IDLE_MS: '1000' });
  const answers = await Promise.all(Array.from({ length: 4 }, () => stall(type, 45_000)));
  const statuses = answers.map((answer) => answer.slice(9, 12)).sort();
  expect(statuses).toEqual(['408', '408', '429', '429']);
  const refused = answers.find((answer) => answer.startsWith('HTTP/1.1 429'));
  expect(refused).toMatch(/retry-after: \d+.*memory-full/is);
  // All of it has been released.
  const again = await Promise.all(Array.from({ length: 2 }, () => stall(type, 45_000)));
  expect(again.map((answer) => answer.slice(9, 12))).toEqual(['408', '408']);
});

test.each(
  TYPES,
)('a body that trickles in ends after REQUEST_TIMEOUT_MS, and its memory is free: %s', async (type) => {
  await start({ UPLOAD_IDLE_MS: '60000', REQUEST_TIMEOUT_MS: '1000' });
  for (let round = 0; round < 2; round++) {
    const answers = await Promise.all(Array.from({ length: 2 }, () => stall(type, 45_000, 'A')));
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1.1 408 .*request-timeout/s);
  }
});

test.each([
  'text/plain',
  'application/octet-stream',
])('a route that takes no body reads none: %s', async (type) => {
  await start({});
  const socket = createConnection({ port: service.port, host: '127.0.0.1' });
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  socket.write(
    `DELETE /v1/jobs/x HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ncontent-length: 59000\r\n\r\nA`,
  );
  await expect.poll(() => answer).toMatch(/^HTTP\/1.1 415 .*unsupported-media-type/s);
  socket.destroy();
});

/** Sends a body of 20 MB to the end before it reads. Resolves to the answer, or to the code of an error. */
function sendAll(head: string) {
  const socket = createConnection({ port: service.port, host: '127.0.0.1' });
  socket.pause();
  return new Promise<string>((resolve) => {
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    socket.on('error', ({ code }: NodeJS.ErrnoException) => resolve(`${code}`));
    socket.on('close', () => resolve(answer));
    socket.write(`${head}\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 20000000\r\n\r\n`);
    socket.end(Buffer.alloc(20_000_000, 'A'), () => socket.resume());
  });
}

describe('a client that sends its whole body before it reads gets the answer, and then the connection is closed', () => {
  test.each([
    ['POST /v1/inpaint HTTP/1.1', '413 Payload Too Large'],
    ['POST /v1/inpaint HTTP/1.1\r\nconnection: close', '413 Payload Too Large'],
    ['POST /nothing HTTP/1.1\r\nconnection: close', '413 Payload Too Large'],
    ['POST /v1/inpaint HTTP/1.0', '413 Payload Too Large'],
  ])('%s', async (head, status) => {
    await start({});
    expect(await sendAll(head)).toContain(status);
  });

  test('also while the service shuts down', async () => {
    await start({ MAX_UPLOAD_BYTES: '30000000', MAX_UPLOADS_BYTES: '60000000' });
    service.app.draining = true;
    const answer = await sendAll('POST /v1/inpaint HTTP/1.1');
    expect(answer).toContain('503 Service Unavailable');
    expect(answer).toContain('connection: close');
  });
});

test('refused uploads leave nothing behind on a connection that is kept', async () => {
  await start({});
  const accepted = once(service.app.server, 'connection') as Promise<[Socket]>;
  const client = createConnection({ port: service.port, host: '127.0.0.1' });
  let answers = '';
  client.on('data', (data) => {
    answers += data;
  });
  const [socket] = await accepted;
  const listeners: number[] = [];
  for (let n = 1; n <= 12; n++) {
    client.write(
      'POST /v1/inpaint HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 70000\r\n\r\n',
    );
    await expect.poll(() => answers.split('HTTP/1.1 413').length - 1).toBe(n);
    client.write(Buffer.alloc(70_000, 'A'));
    listeners.push(socket.listenerCount('close'));
  }
  expect(listeners.at(-1)).toBe(listeners[1]);
  client.destroy();
});

test.each([
  ['before its body arrives', true],
  ['while its body arrives', false],
])('the body of a client that leaves %s is not counted', (_, atOnce) => {
  const uploads = new Uploads({ perBody: 100, total: 100, idleMs: 60_000 });
  const open = (destroyed: boolean) => {
    const response = Object.assign(new EventEmitter(), { destroyed });
    return { response, upload: uploads.open(response as ServerResponse) };
  };
  const { response, upload } = open(atOnce);
  upload.take(60);
  if (!atOnce) {
    response.destroyed = true;
    response.emit('close');
  }
  upload.take(40);
  const other = open(false).upload;
  other.take(100); // all of it
  expect(() => other.take(1)).toThrow('larger than 100 bytes');
});

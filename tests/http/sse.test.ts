import { EventEmitter } from 'node:events';
import type { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { expect, test } from 'vitest';
import { EventStream } from '../../src/http/sse.ts';

test('an event that is sent in pieces is not interrupted by a heartbeat', async () => {
  const socket = new EventEmitter();
  let answer: Readable | undefined;
  const reply = {
    server: { heartbeatMs: 60_000 },
    request: { raw: { socket } },
    headers: () => reply,
    send: (stream: Readable) => {
      answer = stream;
    },
  };
  const stream = new EventStream(reply as unknown as FastifyReply);
  const received: string[] = [];
  answer?.on('data', (data) => received.push(String(data)));
  const text = () => received.join('');

  function* data() {
    yield '[1,'.padEnd(300_000); // more than may be unread, so that the sender waits here
    socket.emit('end'); // asks for a heartbeat
    yield '2]';
  }
  await stream.sendPieces('result', data());
  await expect.poll(text).toMatch(/^event: result\ndata: \[1, *2\]\n\n$/);
  socket.emit('end');
  await expect.poll(text).toMatch(/2\]\n\n: heartbeat\n\n$/);
  stream.end();
});

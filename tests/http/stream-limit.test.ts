import { EventEmitter } from 'node:events';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { expect, test } from 'vitest';
import { limitStreams } from '../../src/http/stream-limit.ts';

const request = { ip: '127.0.0.1' } as FastifyRequest;
const replyOn = (destroyed: boolean) =>
  ({ raw: Object.assign(new EventEmitter(), { destroyed }) }) as unknown as FastifyReply;

test('a client that has already left takes no place', async () => {
  const hook = limitStreams(1);
  await hook(request, replyOn(true));
  const reply = replyOn(false);
  await hook(request, reply);
  await expect(hook(request, replyOn(false))).rejects.toMatchObject({ slug: 'too-many-streams' });
  reply.raw.emit('close');
  await hook(request, replyOn(false));
});

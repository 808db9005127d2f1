import type { FastifyReply, FastifyRequest } from 'fastify';
import { clientOf } from './plugins/rate-limit.ts';
import { Problem } from './problem.ts';

const STREAM_RETRY_S = 10;

/**
 * A hook that lets each client have at most `max` requests of a route open at a time. For streams, which last as long as
 * a job, so that one client cannot take all connections.
 */
export function limitStreams(max: number) {
  const open = new Map<string, number>();
  const change = (client: string, by: 1 | -1) => {
    const count = (open.get(client) ?? 0) + by;
    if (count > 0) open.set(client, count);
    else open.delete(client);
  };
  return async (request: FastifyRequest, reply: FastifyReply) => {
    if (reply.raw.destroyed) return; // 'close' is not emitted again
    const client = clientOf(request);
    reply.isLast = true; // an idle connection would occupy a place for a while
    if ((open.get(client) ?? 0) >= max) {
      const detail = `at most ${max} streams of events may be open; close one, or try again in ${STREAM_RETRY_S} s`;
      throw new Problem('too-many-streams', detail, { retryAfterS: STREAM_RETRY_S });
    }
    change(client, 1);
    reply.raw.once('close', () => change(client, -1));
  };
}

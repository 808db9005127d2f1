import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type { Metrics } from '../../metrics.ts';

const SANE_ID = /^[\w.:-]{1,128}$/;
/** Asked every few seconds by machines: not worth a line each. */
const QUIET = /^\/(health|metrics)/;

/** The caller's request id where it is harmless to log, else a new one. */
export function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && SANE_ID.test(given) ? given : randomUUID();
}

/** x-request-id on every response, and one log line for every request: never a body, a file name or a header. */
export default fp(async function requests(app: FastifyInstance, { metrics }: { metrics: Metrics }) {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    // Seen on the response's side, from the first byte on: an upload cut short has no handler yet that could see it.
    reply.raw.once('close', () => {
      if (reply.raw.writableFinished) return;
      metrics.disconnects.inc();
      const { method, url } = request;
      const path = url.split('?')[0];
      request.log.info({ method, path }, `${method} ${path}: the client went away`);
    });
  });
  app.addHook('onResponse', async (request, reply) => {
    const { method, url } = request;
    const path = url.split('?')[0];
    const line = { method, path, status: reply.statusCode, ms: Math.round(reply.elapsedTime) };
    request.log[QUIET.test(path) ? 'debug' : 'info'](line, `${method} ${path} ${reply.statusCode}`);
  });
});

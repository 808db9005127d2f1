import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';

const SANE_ID = /^[\w.:-]{1,128}$/;
/** Asked every few seconds by machines: not worth a line each. */
const QUIET = /^\/(health|metrics)/;

/** The caller's request id where it is harmless to log, else a new one. */
export function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && SANE_ID.test(given) ? given : randomUUID();
}

/** x-request-id on every response, and one log line for every request: never a body, a file name or a header. */
export default fp(async function requests(app: FastifyInstance) {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  app.addHook('onResponse', async (request, reply) => {
    const { method, url } = request;
    const path = url.split('?')[0];
    const line = { method, path, status: reply.statusCode, ms: Math.round(reply.elapsedTime) };
    request.log[QUIET.test(path) ? 'debug' : 'info'](line, `${method} ${path} ${reply.statusCode}`);
  });
});

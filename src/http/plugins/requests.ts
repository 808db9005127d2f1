import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import type { Metrics } from '../../metrics.ts';
import { endRequest, inContext, startRequest } from '../../tracing.ts';
import { Problem } from '../problem.ts';

const SANE_ID = /^[\w.:-]{1,128}$/;
/** Asked every few seconds by machines: not worth a line each. */
const QUIET = /^\/(health|metrics)/;

/** The caller's request id where it is harmless to log, else a new one. */
export function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && SANE_ID.test(given) ? given : randomUUID();
}

declare module 'fastify' {
  interface FastifyRequest {
    /** What the log's line about it says beside how it went: parameters, problem, timings. Nothing of a picture. */
    about: Record<string, unknown>;
    /** Its span, and the context that what is done for it happens in; none for probes and scrapes. */
    tracing?: ReturnType<typeof startRequest>;
  }
}

/** x-request-id on every response, and one log line for every request: never a body, a file name or a header. */
export default fp(async function requests(app: FastifyInstance, { metrics }: { metrics: Metrics }) {
  app.decorateRequest('about');
  app.decorateRequest('tracing');
  app.addHook('onRequest', async (request, reply) => {
    request.about = {};
    const { method, url, routeOptions, headers } = request;
    if (!QUIET.test(url)) request.tracing = startRequest(method, routeOptions.url, headers);
    reply.header('x-request-id', request.id);
    // Seen on the response's side, from the first byte on: an upload cut short has no handler yet that could see it.
    reply.raw.once('close', () => {
      if (reply.raw.writableFinished) return;
      metrics.disconnects.inc();
      logRequest(request, reply, 'the client went away');
    });
    if (request.headers.host === undefined && request.raw.httpVersion === '1.1')
      throw new Problem('invalid-request', 'the request has no Host header');
  });
  // Reading a body loses the context (its events come from the socket), so it begins here.
  app.addHook('preHandler', (request, _, done) => {
    if (request.tracing) inContext(request.tracing.context, done);
    else done();
  });
  app.addHook('onResponse', async (request, reply) => logRequest(request, reply));
});

function logRequest(request: FastifyRequest, reply: FastifyReply, gone?: string) {
  const { method, url, routeOptions, apiKey, about, tracing } = request;
  const path = url.split('?')[0];
  const line = {
    method,
    route: routeOptions.url,
    status: gone ? undefined : reply.statusCode,
    ms: Math.round(reply.elapsedTime),
    key: apiKey?.name,
    trace_id: tracing?.span.isRecording() ? tracing.span.spanContext().traceId : undefined,
    ...about,
  };
  request.log[QUIET.test(path) ? 'debug' : 'info'](line, `${method} ${path} ${gone ?? reply.statusCode}`);
  if (tracing) endRequest(tracing.span, gone ? undefined : reply.statusCode, about);
}

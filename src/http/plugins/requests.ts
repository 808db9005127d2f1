import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import type { Metrics } from '../../metrics.ts';
import { endRequest, inContext, startRequest } from '../../tracing.ts';
import { isDelivered } from '../disconnect.ts';
import { Problem } from '../problem.ts';
import { isProbe } from './keys.ts';

const SAFE_ID = /^[\w.:-]{1,128}$/;
/** A stream of events has more listeners than the ten at which Node warns of a leak. */
const MAX_LISTENERS = 20;

/** The client's x-request-id if it is safe to log, else a new id. */
export function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && SAFE_ID.test(given) ? given : randomUUID();
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Fields of its log line: parameters, problem, timings; never picture data. */
    logFields: Record<string, unknown>;
    /** Its span, and the context that its work runs in; none for probes and scrapes. */
    tracing?: ReturnType<typeof startRequest>;
  }
  interface FastifyReply {
    /** The problem that malformed.ts has answered on the raw socket, while the request was arriving. */
    refusedWith?: Problem;
  }
}

/** The reply to the latest request of each connection. */
const latest = new WeakMap<Socket, FastifyReply>();

/** The reply to the request whose body is arriving on a connection, if one is. */
export function arriving(socket: Socket): FastifyReply | undefined {
  const reply = latest.get(socket);
  return reply?.request.raw.complete || reply?.raw.writableFinished ? undefined : reply;
}

/** x-request-id on every response, and one log line for every request: never a body, a file name or a header. */
export default fp(async function requests(app: FastifyInstance, { metrics }: { metrics: Metrics }) {
  app.decorateRequest('logFields');
  app.decorateRequest('tracing');
  app.decorateReply('refusedWith');
  app.addHook('onRequest', async (request, reply) => {
    request.logFields = {};
    latest.set(request.raw.socket, reply);
    const { method, routeOptions, headers } = request;
    if (!isProbe(routeOptions.url)) request.tracing = startRequest(method, routeOptions.url, headers);
    reply.header('x-request-id', request.id);
    reply.raw.setMaxListeners(MAX_LISTENERS);
    // On the response, from the start: an upload that is cut short never reaches a handler.
    reply.raw.once('close', () => {
      if (reply.raw.writableFinished) return;
      const { refusedWith } = reply;
      if (refusedWith) request.logFields.problem = refusedWith.slug;
      end(request, reply, refusedWith?.status);
    });
    if (request.headers.host === undefined && request.raw.httpVersion === '1.1')
      throw new Problem('invalid-request', 'the request has no Host header');
  });
  // Reading the body loses the context, because its events come from the socket: so the context starts here.
  app.addHook('preHandler', (request, _, done) => {
    if (request.tracing) inContext(request.tracing.context, done);
    else done();
  });
  app.addHook('onResponse', async (request, reply) =>
    end(request, reply, isDelivered(request) ? reply.statusCode : undefined),
  );

  /** @param status undefined if the client disconnected before its response was complete */
  function end(request: FastifyRequest, reply: FastifyReply, status: number | undefined) {
    if (status === undefined) metrics.disconnects.inc();
    logRequest(request, reply, status);
  }
});

function logRequest(request: FastifyRequest, reply: FastifyReply, status: number | undefined) {
  const { method, url, routeOptions, apiKey, logFields, tracing } = request;
  const path = url.split('?')[0];
  const line = {
    method,
    route: routeOptions.url,
    status,
    ms: Math.round(reply.elapsedTime),
    key: apiKey?.name,
    trace_id: tracing?.span.isRecording() ? tracing.span.spanContext().traceId : undefined,
    ...logFields,
  };
  request.log[isProbe(routeOptions.url) ? 'debug' : 'info'](
    line,
    `${method} ${path} ${status ?? 'client disconnected'}`,
  );
  if (tracing) endRequest(tracing.span, status, logFields);
}

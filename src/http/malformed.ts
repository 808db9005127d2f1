import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest, FastifyBaseLogger as Log } from 'fastify';
import type { Metrics } from '../metrics.ts';
import { errorAnswer } from './compat/errors.ts';
import { arriving } from './plugins/requests.ts';
import { Problem } from './problem.ts';
import { toProblem } from './to-problem.ts';

const HTTP_PROBLEMS: Record<string, Problem> = {
  ERR_HTTP_REQUEST_TIMEOUT: new Problem('request-timeout', 'the request did not arrive in time'),
  HPE_HEADER_OVERFLOW: new Problem('headers-too-large', 'send a shorter URL or shorter headers'),
};
const MALFORMED = new Problem('invalid-request', 'the request is not valid HTTP');

/** The client has ended the connection in the middle of a request. */
const CUT_SHORT = 'HPE_INVALID_EOF_STATE';

/** Answers, on the raw socket, what Node cannot parse as a request, or what does not arrive in time. No hook runs for it. */
export function answerMalformed(
  error: Error & { code?: string },
  socket: Socket,
  metrics: Metrics,
  log: Log,
) {
  const reply = arriving(socket);
  if (error.code === 'ECONNRESET' || !socket.writable || reply?.raw.headersSent) {
    socket.destroy(error);
    return;
  }
  const id = reply?.request.id ?? randomUUID();
  const problem = HTTP_PROBLEMS[error.code ?? ''] ?? MALFORMED;
  const { status, slug } = problem;
  // plugins/requests.ts counts a client that has gone. A connection without a byte, as browsers open in advance, is no request.
  if (reply ? error.code !== CUT_SHORT : socket.bytesRead > 0) {
    count(metrics, problem, reply?.request.method, reply?.request.routeOptions.url);
    if (reply) reply.refusedWith = problem;
    else log.info({ request_id: id, status, problem: slug }, `unreadable request ${status}`);
  }
  const body = JSON.stringify(problem.toJSON('/'));
  socket.end(
    `HTTP/1.1 ${status} ${problem.title}\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nx-request-id: ${id}\r\nconnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

/** Answers paths that Fastify's router refuses before any hook or handler runs. */
export function answerUnroutable(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  metrics: Metrics,
) {
  const problem = toProblem(error, request.log);
  const { status, type, body } = errorAnswer(problem, request);
  count(metrics, problem, request.method);
  request.log.info({ status, problem: problem.slug }, `${request.method} ${status}`);
  reply.code(status).header('x-request-id', request.id).type(type).send(JSON.stringify(body));
}

function count(metrics: Metrics, { slug, status }: Problem, method = 'unknown', route = 'unknown') {
  metrics.failures.inc({ reason: slug });
  metrics.httpRequests.inc({ route, method, status });
}

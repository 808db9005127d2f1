import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { errorAnswer } from './compat/errors.ts';
import { Problem } from './problem.ts';
import { toProblem } from './to-problem.ts';

const HTTP_PROBLEMS: Record<string, Problem> = {
  ERR_HTTP_REQUEST_TIMEOUT: new Problem('request-timeout', 'the request did not arrive in time'),
  HPE_HEADER_OVERFLOW: new Problem('headers-too-large', 'send shorter headers'),
};
const MALFORMED = new Problem('invalid-request', 'the request is not valid HTTP');

/** Answers, on the raw socket, what Node cannot parse as a request. */
export function clientErrorHandler(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy(error);
    return;
  }
  const id = randomUUID();
  const problem = HTTP_PROBLEMS[error.code ?? ''] ?? MALFORMED;
  const body = JSON.stringify(problem.toJSON('/'));
  socket.end(
    `HTTP/1.1 ${problem.status} ${problem.title}\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nx-request-id: ${id}\r\nconnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

/** Answers paths that Fastify's router refuses before any hook or handler runs. */
export function frameworkErrors(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const problem = toProblem(error, request.log);
  const { status, type, body } = errorAnswer(problem, request);
  request.log.info({ status, problem: problem.slug }, `${request.method} ${status}`);
  reply.code(status).header('x-request-id', request.id).type(type).send(JSON.stringify(body));
}

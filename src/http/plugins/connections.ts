import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type { Dependencies } from '../dependencies.ts';

/** Headers are small: a client that takes longer to send them is only holding the connection. */
const HEADERS_TIMEOUT_MS = 15_000;

/** Times after the end of a client's data at which it is checked whether the client is still there. */
const CHECKS_MS = [2000, 2500];

/** Limits the number of connections, and how long a slow or silent client may hold one. */
export default fp(function connections(
  app: FastifyInstance,
  { config, metrics }: Dependencies,
  done: () => void,
) {
  const { server } = app;
  server.headersTimeout = Math.min(HEADERS_TIMEOUT_MS, config.REQUEST_TIMEOUT_MS);
  server.maxConnections = config.MAX_CONNECTIONS;
  server.on('drop', () => metrics.connectionsRefused.inc());
  // Applies while no byte moves during an answer. Between requests Node's keep-alive timeout applies.
  app.addHook('onSend', async (_request, { raw }) => {
    raw.socket?.setTimeout(config.SEND_TIMEOUT_MS);
  });

  // After its request a client may close its half of the connection and wait for the answer. That looks like a client
  // that has left, until something is written to it: then the system of a client that has left resets the connection,
  // and the next write fails. An interim answer may be sent at any time before the answer (RFC 9110, section 15.2).
  // Streams of events write a comment instead (sse.ts).
  Object.assign(server, { httpAllowHalfOpen: true });
  const unanswered = new WeakMap<Socket, Set<ServerResponse>>();
  server.on('connection', (socket: Socket) => {
    const responses = new Set<ServerResponse>();
    unanswered.set(socket, responses);
    socket.once('end', () => {
      for (const ms of CHECKS_MS) {
        const timer = setTimeout(() => responses.forEach(check), ms);
        socket.once('close', () => clearTimeout(timer));
      }
    });
  });
  app.addHook('onRequest', async ({ raw: { socket } }, { raw }) => {
    const responses = unanswered.get(socket);
    responses?.add(raw);
    raw.once('close', () => responses?.delete(raw));
  });
  done();
});

/** Writes an interim answer, which HTTP/1.0 does not have. */
function check(response: ServerResponse): void {
  if (!response.headersSent && response.req.httpVersion === '1.1') response.writeContinue();
}

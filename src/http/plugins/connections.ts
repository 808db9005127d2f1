import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type { Dependencies } from '../dependencies.ts';
import { Problem, RETRY_AFTER_S } from '../problem.ts';
import { isEmpty } from './bodies.ts';
import { isProbe } from './keys.ts';

/** Headers are small: a client that takes longer to send them is only holding the connection. */
const HEADERS_TIMEOUT_MS = 15_000;

/** Times after the end of a client's data at which it is checked whether the client is still there. */
const CHECKS_MS = [2000, 2500];

/** Requests of a connection that may wait for their answers. More than a few are no use: they are answered in order. */
const MAX_PIPELINED = 8;

/** Interval at which a shutdown closes the connections that have no request. */
const SWEEP_MS = 500;

/** Interval of the comments in a quiet stream of events: proxies close silent connections. */
const HEARTBEAT_MS = 15_000;

declare module 'fastify' {
  interface FastifyInstance {
    /** Milliseconds between the comments in a quiet stream of events. */
    heartbeatMs: number;
  }
  interface FastifyReply {
    /** The connection is closed after this answer. */
    isLast: boolean;
  }
}

/** Connections beyond MAX_CONNECTIONS that may wait for their request at a time, and milliseconds that each may wait. */
const RESERVE = 32;
const RESERVE_MS = 1000;

/**
 * Limits the number of connections, and how long a slow or silent client may hold one. Beyond MAX_CONNECTIONS, a
 * connection gets an answer to one probe or scrape, so that clients cannot make the service look dead; any other request
 * gets 503. While it waits for a request it may have to give way to a newer one.
 */
export default fp(function connections(
  app: FastifyInstance,
  { config, metrics }: Dependencies,
  done: () => void,
) {
  const { server } = app;
  server.headersTimeout = Math.min(HEADERS_TIMEOUT_MS, config.REQUEST_TIMEOUT_MS);
  const reserve = new Reserve(config.MAX_CONNECTIONS, () => metrics.connectionsRefused.inc());
  server.on('connection', (socket: Socket) => reserve.admit(socket));
  app.addHook('onRequest', async (request, reply) => {
    const { socket } = request.raw;
    if (!reserve.has(socket)) return;
    reply.isLast = true;
    if (isProbe(request.routeOptions.url)) return reserve.keep(socket);
    metrics.connectionsRefused.inc();
    throw new Problem('too-many-connections', 'too many connections are open', {
      retryAfterS: RETRY_AFTER_S,
    });
  });
  app.decorate('heartbeatMs', Math.min(HEARTBEAT_MS, config.SEND_TIMEOUT_MS / 2)); // or the timeout would end such a stream
  app.decorateReply('isLast', false);
  app.addHook('onSend', async (_request, reply) => {
    // Applies while no byte moves during an answer. Between requests Node's keep-alive timeout applies.
    reply.raw.socket?.setTimeout(config.SEND_TIMEOUT_MS);
    if (reply.isLast) reply.header('connection', 'close');
  });

  // After its request a client may close its half of the connection and wait for the answer. That looks like a client
  // that has left, until something is written to it: then the system of a client that has left resets the connection,
  // and the next write fails. An interim answer may be sent at any time before the answer (RFC 9110, section 15.2).
  // Streams of events write a comment instead (sse.ts).
  Object.assign(server, { httpAllowHalfOpen: true });
  const unanswered = new Map<Socket, Set<ServerResponse>>();
  server.on('connection', (socket: Socket) => {
    const responses = new Set<ServerResponse>();
    unanswered.set(socket, responses);
    socket.once('close', () => {
      unanswered.delete(socket);
      // Node 20 and 22 tell only the first of several responses. What waits for the others would be held forever.
      for (const response of responses) {
        if (response.socket || response.closed) continue;
        response.destroy();
        response.emit('close');
      }
    });
    socket.once('end', () => {
      for (const ms of CHECKS_MS) {
        const timer = setTimeout(() => responses.forEach(check), ms);
        socket.once('close', () => clearTimeout(timer));
      }
    });
  });
  // A pipelined request waits until the answer before it has been sent, so that a client that reads nothing has one
  // answer of each connection in memory. One with a body does not: while nobody reads it, Node reads nothing more from the
  // connection, and does not see that it breaks. Its answer counts in MAX_DECODED_BYTES if it is large.
  app.addHook('onRequest', async (request, { raw }) => {
    const { socket } = request.raw;
    const responses = unanswered.get(socket);
    const previous = responses && [...responses].at(-1);
    responses?.add(raw);
    raw.once('close', () => {
      responses?.delete(raw);
      // The next request is computed now, during which no byte moves. Its own answer sets the timeout again.
      if (responses?.size) socket.setTimeout(0);
    });
    if (responses && responses.size > MAX_PIPELINED)
      socket.destroy(); // Node has more in its buffer
    else if (previous && isEmpty(request)) await new Promise((sent) => previous.once('close', sent));
    // The answer before may have been the last one of the connection.
    if (socket.destroyed || (previous && socket.writableEnded))
      throw new Problem('too-many-connections', 'too many requests are pipelined');
  });

  // A server that closes no longer checks the time of headers, and Node does not count a connection that has sent nothing
  // as idle. Such a connection, a browser's or a load balancer's, would otherwise delay the shutdown to its limit.
  app.addHook('preClose', async () => {
    const late = performance.now() + server.headersTimeout;
    const sweep = setInterval(() => {
      for (const [socket, { size }] of unanswered)
        if (size === 0 && (socket.bytesRead === 0 || performance.now() > late)) socket.destroy();
    }, SWEEP_MS);
    server.once('close', () => clearInterval(sweep));
  });
  done();
});

/** The connections that were opened while MAX_CONNECTIONS others were open. */
class Reserve {
  readonly #max: number;
  readonly #onRefused: () => void;
  #open = 0;
  readonly #members = new WeakSet<Socket>();
  /** Those that have sent no request yet, oldest first. */
  readonly #waiting = new Map<Socket, NodeJS.Timeout>();

  constructor(max: number, onRefused: () => void) {
    this.#max = max;
    this.#onRefused = onRefused;
  }

  admit(socket: Socket): void {
    this.#open++;
    socket.once('close', () => {
      this.#open--;
      this.keep(socket);
    });
    if (this.#open <= this.#max) return;
    this.#members.add(socket);
    const [oldest] = this.#waiting.keys();
    if (this.#waiting.size === RESERVE) this.#refuse(oldest);
    this.#waiting.set(
      socket,
      setTimeout(() => this.#refuse(socket), RESERVE_MS),
    );
  }

  has(socket: Socket): boolean {
    return this.#members.has(socket);
  }

  /** Lets a connection stay until it is answered. */
  keep(socket: Socket): void {
    clearTimeout(this.#waiting.get(socket));
    this.#waiting.delete(socket);
  }

  #refuse(socket: Socket): void {
    this.keep(socket);
    this.#onRefused();
    socket.destroy();
  }
}

/** Writes an interim answer, which HTTP/1.0 does not have. */
function check(response: ServerResponse): void {
  if (!response.headersSent && response.req.httpVersion === '1.1') response.writeContinue();
}

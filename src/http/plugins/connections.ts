import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type { Parts } from '../dependencies.ts';

/** Headers are small: whoever takes longer over them than this only holds the connection. */
const HEADERS_TIMEOUT_MS = 15_000;

/** Clients that send or read slowly, or not at all, hold no connection for long, and there are never too many. */
export default fp(function connections(app: FastifyInstance, { config, metrics }: Parts, done: () => void) {
  const { server } = app;
  server.headersTimeout = Math.min(HEADERS_TIMEOUT_MS, config.REQUEST_TIMEOUT_MS);
  server.maxConnections = config.MAX_CONNECTIONS;
  server.on('drop', () => metrics.connectionsRefused.inc());
  // Counts while nothing moves, from the first byte of the answer to the last; Node sets what holds between requests.
  app.addHook('onSend', async (_request, { raw }) => {
    raw.socket?.setTimeout(config.SEND_TIMEOUT_MS);
  });
  done();
});

import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type { Dependencies } from '../dependencies.ts';

/** Headers are small: a client that takes longer to send them is only holding the connection. */
const HEADERS_TIMEOUT_MS = 15_000;

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
  done();
});

import type { FastifyReply } from 'fastify';
import type { Metrics } from '../metrics.ts';

/** The client went away: there is nobody to answer. */
export class DisconnectedError extends Error {
  override name = 'DisconnectedError';
}

/**
 * A signal that aborts when the client goes away before its answer. It listens to the response: a request's own
 * 'close' also comes when its body has been read.
 */
export function disconnectSignal(reply: FastifyReply, metrics: Metrics): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (reply.raw.writableFinished) return;
    metrics.disconnects.inc();
    controller.abort(new DisconnectedError('the client went away'));
  });
  return controller.signal;
}

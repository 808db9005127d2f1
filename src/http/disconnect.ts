import type { FastifyReply } from 'fastify';

/** The client went away: there is nobody to answer. */
export class DisconnectedError extends Error {
  override name = 'DisconnectedError';
}

/**
 * A signal that aborts when the client goes away before its answer. It listens to the response: a request's own
 * 'close' also comes when its body has been read.
 */
export function disconnectSignal({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  const leave = () => {
    if (!raw.writableFinished) controller.abort(new DisconnectedError('the client went away'));
  };
  if (raw.destroyed)
    leave(); // while its body was being read: 'close' will not come again
  else raw.once('close', leave);
  return controller.signal;
}

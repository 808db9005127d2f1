import type { FastifyReply, FastifyRequest } from 'fastify';

/** The client disconnected: there is nobody to answer. */
class DisconnectedError extends Error {
  override name = 'DisconnectedError';
}

/**
 * A signal that aborts when the client disconnects before it has its answer. It listens to the response, because a
 * request also emits 'close' when its body has been read.
 */
export function disconnectSignal({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  const leave = () => {
    if (!raw.writableFinished) controller.abort(new DisconnectedError('the client disconnected'));
  };
  if (raw.destroyed)
    leave(); // while the body was being read: 'close' is not emitted again
  else raw.once('close', leave);
  return controller.signal;
}

/**
 * Whether an answer that has finished was handed to the operating system. Node also emits 'finish' when the connection is
 * destroyed while the answer waits to be written: because the client left, or read nothing for SEND_TIMEOUT_MS.
 */
export const isDelivered = ({ raw }: FastifyRequest): boolean => !raw.socket.destroyed;

/** Calls back when the answer has been sent, or the client has disconnected: until then the answer is in memory. */
export function whenSent({ raw }: FastifyReply, callback: () => void): void {
  if (raw.destroyed) callback();
  else raw.once('close', callback);
}

import type { FastifyReply } from 'fastify';
import type { Dependencies } from './dependencies.ts';
import type { Problem } from './problem.ts';
import type { EventStream } from './sse.ts';
import { toProblem } from './to-problem.ts';

/** What a reply has opened so far: nothing, until its request has been found good. */
export interface Opened {
  stream?: EventStream;
  /** Sends events on the way; flush() resolves when all of them have been sent. */
  reporter?: { flush(): Promise<void> };
}

/**
 * Answers with events. `work` opens the stream when it knows that the request is good, and sends the result. An error before
 * that rejects, so that the answer still has a status; a later one is sent by `sendError`, after the events before it.
 */
export async function replyInStream(
  { metrics }: Dependencies,
  reply: FastifyReply,
  work: (opened: Opened) => Promise<void>,
  sendError: (stream: EventStream, problem: Problem) => void,
) {
  const opened: Opened = {};
  try {
    await work(opened);
  } catch (error) {
    if (!opened.stream) throw error;
    if (reply.raw.destroyed) return reply; // the client disconnected
    const problem = toProblem(error, reply.log);
    metrics.failures.inc({ reason: problem.slug });
    reply.request.logFields.problem = problem.slug; // the status has already been sent as 200
    await opened.reporter?.flush();
    sendError(opened.stream, problem);
  } finally {
    opened.stream?.end();
  }
  return reply;
}

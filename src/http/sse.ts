import { PassThrough, pipeline, type Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { Progress } from '../generation/types.ts';
import { tensorToPicture } from '../image/region.ts';
import { encodePicture } from '../image/threads.ts';
import type { JobProgress } from '../jobs/job.ts';
import { toProblem } from './plugins/errors.ts';
import { base64, type Work } from './reply.ts';

const HEARTBEAT_MS = 15_000;
const HEARTBEAT = ': still here\n\n';
/** Bytes a client may leave unread before it is sent no more progress: what it misses, the next event says again. */
const BEHIND = 256_000;

export const EVENT_STREAM_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no', // nginx would hold the events back
};

/** One server-sent event; JSON has no line breaks of its own. */
export function formatEvent(event: string, data: object, id?: number): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** The same stream, with a sign of life while there is nothing to say: what goes between would cut off a silent one. */
export function withHeartbeats(events: Readable): Readable {
  const stream = new PassThrough();
  const heartbeat = setInterval(() => {
    if (stream.writableLength === 0) stream.write(HEARTBEAT);
  }, HEARTBEAT_MS);
  pipeline(events, stream, () => clearInterval(heartbeat));
  return stream;
}

/** Turns progress into what its event says: with an estimate of the time left, and a preview every so many steps. */
export function describeProgress(
  { model, previewEvery }: Pick<Work, 'model' | 'previewEvery'>,
  send: (data: JobProgress) => void,
) {
  const started = performance.now();
  return ({ step, of, estimate, box }: Progress) => {
    const eta_ms = Math.round(((performance.now() - started) / step) * (of - step));
    if (previewEvery === 0 || step % previewEvery !== 0) return send({ step, of, eta_ms });
    const picture = tensorToPicture(estimate(), model.card.resolution);
    encodePicture(picture, { format: 'webp', quality: 80 })
      .then((file) => send({ step, of, eta_ms, preview: `data:image/webp;base64,${base64(file)}`, box }))
      .catch(() => {}); // a preview is a courtesy
  };
}

/**
 * Answers with server-sent events: `queued`, `progress` after each step, then `result` or `error`. Nothing waits for the
 * client to read, so a slow one never slows the batch that its picture is in.
 */
export function streamEvents(
  reply: FastifyReply,
  { model, previewEvery }: Pick<Work, 'model' | 'previewEvery'>,
  run: (onProgress: (progress: Progress) => void) => Promise<object>,
) {
  const stream = new PassThrough({ highWaterMark: BEHIND });
  const send = (event: string, data: object) => {
    if (!stream.writableEnded) stream.write(formatEvent(event, data));
  };
  const heartbeat = setInterval(() => stream.write(HEARTBEAT), HEARTBEAT_MS);
  const tell = describeProgress({ model, previewEvery }, (data) => send('progress', data));
  const onProgress = (progress: Progress) => {
    if (stream.writableLength <= BEHIND) tell(progress);
  };

  send('queued', { position: model.scheduler?.depth.waiting ?? 0 });
  run(onProgress)
    .then((result) => send('result', result))
    .catch((error) => {
      if (reply.raw.destroyed) return; // the client went away
      const problem = toProblem(error, reply.log);
      reply.request.about.problem = problem.slug; // its status has been 200 for long
      send('error', problem.toJSON(reply.request.url.split('?')[0]));
    })
    .finally(() => {
      clearInterval(heartbeat);
      stream.end();
    });
  return reply.headers(EVENT_STREAM_HEADERS).send(stream);
}

import type { FastifyReply } from 'fastify';
import type { Generated } from '../generation/generate.ts';
import { ProgressReporter } from '../generation/progress.ts';
import type { GenerationRequest } from '../generation/request.ts';
import type { OutputFormat } from '../image/picture.ts';
import type { Dependencies } from './dependencies.ts';
import { jsonAnswer, pieces, sendJson } from './json-answer.ts';
import { negotiate } from './negotiate.ts';
import { type OnPrepared, perform } from './perform.ts';
import { EventStream } from './sse.ts';
import { toProblem } from './to-problem.ts';

/** Answers one generation request with the representation that Accept asks for. */
export async function replyWithPictures(
  dependencies: Dependencies,
  reply: FastifyReply,
  request: GenerationRequest,
) {
  const { kind, format } = negotiate(reply.request, request.format, request.num_images);
  const run = (onPrepared?: OnPrepared) => perform(dependencies, reply, { ...request, format }, onPrepared);
  if (kind === 'events') return replyWithEvents(reply, run);
  const generated = await run();
  reply.header('server-timing', serverTiming(generated));
  if (kind === 'image') return sendImage(reply, generated.files[0], format);
  return sendJson(reply, jsonAnswer(generated));
}

/** Server-sent events: `queued`, `progress` after each step, then `result` or `error`. */
async function replyWithEvents(reply: FastifyReply, run: (onPrepared: OnPrepared) => Promise<Generated>) {
  let stream: EventStream | undefined;
  let progress: ProgressReporter | undefined;
  try {
    const generated = await run(({ model, request }) => {
      const events = new EventStream(reply);
      stream = events;
      events.send('queued', { position: model.scheduler?.depth.waiting ?? 0 });
      progress = new ProgressReporter(request.preview_every, (event) =>
        events.sendUnlessBehind('progress', event),
      );
      return progress.report;
    });
    await progress?.flush();
    await stream?.sendPieces('result', pieces(jsonAnswer(generated)));
  } catch (error) {
    if (!stream) throw error; // nothing has been sent yet: the answer can still be a problem
    if (reply.raw.destroyed) return reply; // the client disconnected
    const problem = toProblem(error, reply.log);
    reply.request.logFields.problem = problem.slug; // the status has already been sent as 200
    await progress?.flush();
    stream.send('error', problem.toJSON(reply.request.url.split('?')[0]));
  } finally {
    stream?.end();
  }
  return reply;
}

function serverTiming({ fields }: Generated): string {
  return Object.entries(fields.timings_ms)
    .map(([name, ms]) => `${name};dur=${ms}`)
    .join(', ');
}

export function sendImage(reply: FastifyReply, file: Uint8Array, format: OutputFormat) {
  return reply
    .type(`image/${format}`)
    .header('content-disposition', `inline; filename="picture.${format === 'jpeg' ? 'jpg' : format}"`)
    .send(Buffer.from(file.buffer, file.byteOffset, file.byteLength));
}

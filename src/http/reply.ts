import type { FastifyReply } from 'fastify';
import type { Generated } from '../generation/generate.ts';
import { ProgressReporter } from '../generation/progress.ts';
import type { GenerationRequest } from '../generation/request.ts';
import { asBuffer } from '../image/buffer.ts';
import type { OutputFormat } from '../image/picture.ts';
import type { Dependencies } from './dependencies.ts';
import { jsonAnswer, pieces, sendJson } from './json-answer.ts';
import { negotiate } from './negotiate.ts';
import { type OnPrepared, perform } from './perform.ts';
import { replyInStream } from './reply-in-stream.ts';
import { EventStream } from './sse.ts';

/** Answers one generation request with the representation that Accept asks for. */
export async function replyWithPictures(
  dependencies: Dependencies,
  reply: FastifyReply,
  request: GenerationRequest,
) {
  const { kind, format } = negotiate(reply.request, request.format, request.num_images);
  const run = (onPrepared?: OnPrepared) =>
    perform(dependencies, reply, { ...request, format }, { onPrepared });
  if (kind === 'events') return replyWithEvents(dependencies, reply, run);
  const generated = await run();
  reply.header('server-timing', serverTiming(generated));
  if (kind === 'image') return sendImage(reply, generated.files[0], format);
  return sendJson(reply, jsonAnswer(generated));
}

/** Server-sent events: `queued`, `progress` after each evaluation of the network, then `result` or `error`. */
function replyWithEvents(
  dependencies: Dependencies,
  reply: FastifyReply,
  run: (onPrepared: OnPrepared) => Promise<Generated>,
) {
  return replyInStream(
    dependencies,
    reply,
    async (opened) => {
      const generated = await run(({ model, request }) => {
        const events = new EventStream(reply);
        opened.stream = events;
        events.send('queued', { position: model.scheduler?.depth.waiting ?? 0 });
        const progress = new ProgressReporter(request, (event) => events.sendUnlessBehind('progress', event));
        opened.reporter = progress;
        return progress.report;
      });
      await opened.reporter?.flush();
      await opened.stream?.sendPieces('result', pieces(jsonAnswer(generated)));
    },
    (stream, problem) => stream.send('error', problem.toJSON(reply.request.url.split('?')[0])),
  );
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
    .send(asBuffer(file));
}

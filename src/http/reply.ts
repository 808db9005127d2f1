import type { FastifyReply } from 'fastify';
import { type Generated, generate } from '../generation/generate.ts';
import { generationLimits, prepare } from '../generation/prepare.ts';
import { ProgressReporter } from '../generation/progress.ts';
import type { GenerationRequest } from '../generation/request.ts';
import { assertReady, type ResolvedRequest, reproducibilityFields, resolve } from '../generation/resolve.ts';
import type { GenerationOptions } from '../generation/types.ts';
import type { Room } from '../image/budget.ts';
import type { OutputFormat } from '../image/picture.ts';
import type { Dependencies } from './dependencies.ts';
import { disconnectSignal } from './disconnect.ts';
import { jsonAnswer, pieces, sendJson } from './json-answer.ts';
import { negotiate } from './negotiate.ts';
import { EventStream } from './sse.ts';
import { toProblem } from './to-problem.ts';

/**
 * One generation request over HTTP: resolve, reserve, prepare, generate, reply. It stops when the client disconnects.
 * Room in the queue and memory are reserved before anything is decoded.
 */
export async function replyWithPictures(
  { config, registry, metrics }: Dependencies,
  reply: FastifyReply,
  request: GenerationRequest,
) {
  const { kind, format } = negotiate(reply.request, request.format, request.num_images);
  const resolved = resolve(registry, { ...request, format });
  assertReady(registry, resolved);
  const { model, parameters } = resolved;
  Object.assign(reply.request.logFields, reproducibilityFields(resolved));
  const reservation = model.scheduler?.admission.reserve(parameters.numImages, reply.request.apiKey?.name);
  const signal = disconnectSignal(reply);
  let room: Room | undefined;
  const perform: Perform = async (onPrepared) => {
    const prepared = await prepare(resolved, generationLimits(config));
    room = prepared.room;
    reply.header('x-seed', parameters.seed).header('x-model', model.ref).header('x-steps', parameters.steps);
    const onProgress = onPrepared?.();
    const generated = await generate(metrics, prepared, { signal, reservation, onProgress });
    room.resize(generated.files.reduce((sum, { length }) => sum + length, 0));
    reply.request.logFields.timings_ms = generated.fields.timings_ms;
    return generated;
  };
  try {
    if (kind === 'events') return await replyWithEvents(reply, resolved, perform);
    const generated = await perform();
    reply.header('server-timing', serverTiming(generated));
    if (kind === 'image') return sendImage(reply, generated.files[0], format);
    return sendJson(reply, jsonAnswer(generated));
  } finally {
    reservation?.release();
    whenSent(reply, () => room?.release());
  }
}

/**
 * Prepares and generates. Only the encoded pictures are left when it resolves: nothing else may hold the decoded ones,
 * because a client may take long to read its answer.
 *
 * @param onPrepared called when the pictures have been found good; returns what is told the progress
 */
type Perform = (onPrepared?: () => GenerationOptions['onProgress']) => Promise<Generated>;

/** Calls back when the answer has been sent, or the client has disconnected: until then the answer is in memory. */
function whenSent({ raw }: FastifyReply, callback: () => void) {
  if (raw.closed) callback();
  else raw.once('close', callback);
}

/** Server-sent events: `queued`, `progress` after each step, then `result` or `error`. */
async function replyWithEvents(reply: FastifyReply, { model, request }: ResolvedRequest, perform: Perform) {
  let stream: EventStream | undefined;
  let progress: ProgressReporter | undefined;
  try {
    const generated = await perform(() => {
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

import type { FastifyReply } from 'fastify';
import { type Generated, generate } from '../generation/generate.ts';
import { generationLimits, type PreparedRequest, prepare } from '../generation/prepare.ts';
import { ProgressReporter } from '../generation/progress.ts';
import type { GenerationRequest } from '../generation/request.ts';
import { assertReady, reproducibilityFields, resolve } from '../generation/resolve.ts';
import type { GenerationOptions } from '../generation/types.ts';
import { base64 } from '../image/base64.ts';
import type { OutputFormat } from '../image/picture.ts';
import type { Metrics } from '../metrics.ts';
import type { Dependencies } from './dependencies.ts';
import { disconnectSignal } from './disconnect.ts';
import { negotiate } from './negotiate.ts';
import { EventStream } from './sse.ts';
import { toProblem } from './to-problem.ts';

/**
 * One generation request over HTTP: resolve, reserve, prepare, generate, reply. It stops when the client disconnects.
 * Room is reserved before anything is decoded.
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
  try {
    const signal = disconnectSignal(reply);
    const prepared = await prepare(resolved, generationLimits(config));
    reply.header('x-seed', parameters.seed).header('x-model', model.ref).header('x-steps', parameters.steps);
    if (kind === 'events') return await replyWithEvents(metrics, reply, prepared, { signal, reservation });
    const generated = await generate(metrics, prepared, { signal, reservation });
    reply.request.logFields.timings_ms = generated.fields.timings_ms;
    reply.header('server-timing', serverTiming(generated));
    if (kind === 'image') return sendImage(reply, generated.files[0], format);
    return reply.type('application/json').send(jsonAnswer(generated));
  } finally {
    reservation?.release();
  }
}

/** Server-sent events: `queued`, `progress` after each step, then `result` or `error`. */
async function replyWithEvents(
  metrics: Metrics,
  reply: FastifyReply,
  prepared: PreparedRequest,
  options: GenerationOptions,
) {
  const { model, request } = prepared;
  const stream = new EventStream(reply);
  stream.send('queued', { position: model.scheduler?.depth.waiting ?? 0 });
  const progress = new ProgressReporter(request.preview_every, (event) =>
    stream.sendUnlessBehind('progress', event),
  );
  try {
    const generated = await generate(metrics, prepared, { ...options, onProgress: progress.report });
    reply.request.logFields.timings_ms = generated.fields.timings_ms;
    await progress.flush();
    stream.send('result', jsonAnswer(generated));
  } catch (error) {
    if (reply.raw.destroyed) return reply; // the client disconnected
    const problem = toProblem(error, reply.log);
    reply.request.logFields.problem = problem.slug; // the status has already been sent as 200
    await progress.flush();
    stream.send('error', problem.toJSON(reply.request.url.split('?')[0]));
  } finally {
    stream.end();
  }
  return reply;
}

function jsonAnswer({ files, fields }: Generated): object {
  return { ...fields, images: files.map((file, index) => ({ index, data: base64(file) })) };
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

import type { FastifyReply } from 'fastify';
import { asFields } from '../generation/resolve.ts';
import type { Options, SampleResult, SamplingParameters, Timings } from '../generation/types.ts';
import type { OutputFormat } from '../image/picture.ts';
import { encodePicture } from '../image/threads.ts';
import type { Metrics } from '../metrics.ts';
import type { ServedModel } from '../registry/served-model.ts';
import { traced } from '../tracing.ts';
import { disconnectSignal } from './disconnect.ts';
import type { Form } from './negotiate.ts';
import { domainProblem } from './problem.ts';
import { streamEvents } from './sse.ts';

/** A request that has been checked and decoded: what is left is to do it. */
export interface Work<Result extends SampleResult = SampleResult> {
  task: 'inpaint' | 'sample';
  model: ServedModel;
  parameters: SamplingParameters;
  /** What else it takes to make the picture again, under its names in requests. */
  fields?: Record<string, unknown>;
  form: Form;
  quality: number | undefined;
  previewEvery: number;
  decodeMs: number;
  run(options: Options): Promise<Result>;
  /** What the JSON answer says beyond the pictures. */
  describe?(result: Result): Promise<object>;
}

/** Does the work and sends what came of it, in the form the client asked for. Stops when the client goes away. */
export async function answer<Result extends SampleResult>(
  reply: FastifyReply,
  metrics: Metrics,
  work: Work<Result>,
) {
  const signal = disconnectSignal(reply);
  const { model, parameters, form } = work;
  const { about } = reply.request;
  reply.header('x-seed', parameters.seed).header('x-model', model.ref).header('x-steps', parameters.steps);
  if (form.kind === 'events') {
    return streamEvents(reply, work, async (onProgress) => {
      const done = await perform(metrics, work, { signal, onProgress });
      about.timings_ms = done.about.timings_ms;
      return json(done);
    });
  }
  const done = await perform(metrics, work, { signal });
  about.timings_ms = done.about.timings_ms;
  const timing = Object.entries(done.about.timings_ms).map(([name, ms]) => `${name};dur=${ms}`);
  reply.header('server-timing', timing.join(', '));
  if (form.kind === 'image') return sendImage(reply, done.files[0], form.format);
  return reply.type('application/json').send(json(done));
}

/** Work that is done. */
export interface Done {
  files: Uint8Array[];
  /** What the JSON answer says beside the pictures. */
  about: { timings_ms: Record<string, number> };
}

/** Draws, and encodes what was drawn. */
export async function perform<Result extends SampleResult>(
  metrics: Metrics,
  work: Work<Result>,
  options: Options,
): Promise<Done> {
  const result = await measured(metrics, work, options);
  const { files, timings } = await traced('encode', () => encode(work, result));
  const about = {
    ...drawnAs(work),
    format: work.form.format,
    timings_ms: timings,
    ...(await work.describe?.(result)),
  };
  return { files, about };
}

function json({ files, about }: Done): object {
  return { ...about, images: files.map((file, index) => ({ index, data: base64(file) })) };
}

async function measured<Result extends SampleResult>(
  metrics: Metrics,
  { run, task, model: { ref: model, engine }, parameters: { sampler, steps, numImages } }: Work<Result>,
  options: Options,
): Promise<Result> {
  const started = performance.now();
  const result = await run(options).catch((error) => {
    const reason = options.signal?.aborted ? 'cancelled' : (domainProblem(error)?.slug ?? 'internal-error');
    metrics.requestFailures.inc({ task, model, reason });
    throw error;
  });
  metrics.steps.inc({ model, sampler }, steps * numImages);
  metrics.requestSeconds.observe(
    { task, model, sampler, engine: engine?.engine },
    (performance.now() - started) / 1000,
  );
  return result;
}

interface Encoded {
  files: Uint8Array[];
  timings: Record<string, number>;
}

async function encode(
  work: Omit<Work, 'run' | 'describe'>,
  { pictures, timings }: SampleResult,
): Promise<Encoded> {
  const { form, quality, decodeMs } = work;
  const started = performance.now();
  const { format } = form;
  const files = await Promise.all(
    pictures.map((picture, candidate) => {
      const metadata = { ...drawnAs(work), ...work.fields, candidate };
      return encodePicture(picture, { format, quality, metadata });
    }),
  );
  return { files, timings: milliseconds(decodeMs, timings, performance.now() - started) };
}

/** By whom, and with which parameters, under their names in requests. */
export function drawnAs({ model, parameters }: Pick<Work, 'model' | 'parameters'>) {
  return { model: model.ref, ...asFields(parameters) };
}

export function sendImage(reply: FastifyReply, file: Uint8Array, format: OutputFormat) {
  return reply
    .type(`image/${format}`)
    .header('content-disposition', `inline; filename="picture.${format === 'jpeg' ? 'jpg' : format}"`)
    .send(Buffer.from(file.buffer, file.byteOffset, file.byteLength));
}

/** A file from an image thread arrives as a plain Uint8Array, whose toString() is something else. */
export function base64(file: Uint8Array): string {
  return Buffer.from(file.buffer, file.byteOffset, file.byteLength).toString('base64');
}

/** In the order in which they passed. */
function milliseconds(decodeMs: number, timings: Timings, encodeMs: number): Record<string, number> {
  const { queueMs, denoiseMs, compositeMs } = timings;
  const ms = {
    decode: decodeMs,
    queue: queueMs,
    denoise: denoiseMs,
    composite: compositeMs,
    encode: encodeMs,
  };
  return Object.fromEntries(Object.entries(ms).map(([name, value]) => [name, Math.round(value)]));
}

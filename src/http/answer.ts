import type { FastifyReply } from 'fastify';
import type { OutputFormat, Picture } from '../image/picture.ts';
import { encodePicture } from '../image/threads.ts';
import type { SamplingParameters, Timings } from '../inpainting/parameters.ts';
import type { ServedModel } from '../registry/served-model.ts';
import type { Form } from './negotiate.ts';
import { asFields } from './parameters.ts';

/** Everything about pictures that were drawn, but for the pictures' bytes. */
interface Drawn {
  model: ServedModel;
  parameters: SamplingParameters;
  pictures: Picture[];
  timings: Timings;
  decodeMs: number;
  form: Form;
  quality: number | undefined;
  /** What else it takes to make the picture again, under its names in requests. */
  fields?: Record<string, unknown>;
}

/** Sends the picture itself, or JSON with all of them and whatever `more` says about them. */
export async function sendPictures(
  reply: FastifyReply,
  drawn: Drawn,
  more: () => Promise<object> = async () => ({}),
) {
  const { model, parameters, pictures, form, quality, fields } = drawn;
  const metadata = { model: model.ref, ...asFields(parameters) };
  const started = performance.now();
  const files = await Promise.all(
    pictures.map((picture, candidate) =>
      encodePicture(picture, {
        format: form.format,
        quality,
        metadata: { ...metadata, ...fields, candidate },
      }),
    ),
  );
  const timings = { ...inOrder(drawn), encode: Math.round(performance.now() - started) };
  reply
    .header('x-seed', parameters.seed)
    .header('x-model', model.ref)
    .header('x-steps', parameters.steps)
    .header(
      'server-timing',
      Object.entries(timings)
        .map(([name, ms]) => `${name};dur=${ms}`)
        .join(', '),
    );
  if (!form.json) return sendImage(reply, files[0], form.format);
  return reply.type('application/json').send({
    ...metadata,
    format: form.format,
    images: files.map((file, index) => ({ index, data: base64(file) })),
    timings_ms: timings,
    ...(await more()),
  });
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

function inOrder({ decodeMs, timings: { queueMs, denoiseMs, compositeMs } }: Drawn) {
  const ms = { decode: decodeMs, queue: queueMs, denoise: denoiseMs, composite: compositeMs };
  return Object.fromEntries(Object.entries(ms).map(([name, value]) => [name, Math.round(value)]));
}

import { randomInt } from 'node:crypto';
import type { FastifyReply } from 'fastify';
import { queueShares } from '../../../config/queue-shares.ts';
import type { Config } from '../../../config/settings.ts';
import { TakesTooLongError } from '../../../generation/errors.ts';
import { assertSoon } from '../../../generation/estimate.ts';
import { evaluate } from '../../../generation/evaluate.ts';
import { type GenerationLimits, generationLimits } from '../../../generation/prepare.ts';
import type { InpaintRequest } from '../../../generation/request.ts';
import { assertReady } from '../../../generation/resolve.ts';
import { pictureBudget } from '../../../image/budget.ts';
import { assertHoldable } from '../../../image/needs.ts';
import { PictureError } from '../../../image/picture.ts';
import type { Dependencies } from '../../dependencies.ts';
import { disconnectSignal, whenSent } from '../../disconnect.ts';
import { perform } from '../../perform.ts';
import { fieldProblem } from '../../problem.ts';
import { validated } from '../../validation.ts';
import { nameIgnored } from '../ignored.ts';
import { assertWritable, type Message } from './message.ts';
import { type FoundModel, findModel, type ModelPath } from './models.ts';
import { type FillParameters, fillParameters } from './schemas.ts';
import type { FillRequest } from './tasks.ts';
import { valuesIn } from './tensors.ts';
import { readFill, readRows, writeFill, writeRows } from './threads.ts';

/** Memory that reading a request takes, for each byte of its body: its tensors, and pictures as files. */
const READ_BYTES = 4;
/** And writing an answer, for each byte of its tensor: the tensor, and the message or its compressed form. */
const WRITE_BYTES = 2;

/** The whole task: fills the holes of N pictures, with the same seed. A picture is the same in any batch. */
export async function fill(
  dependencies: Dependencies,
  reply: FastifyReply,
  path: ModelPath,
  message: Message,
): Promise<Message> {
  const { config, registry } = dependencies;
  const limits = generationLimits(config);
  const sent = await reading(message, () => readFill(message, limits, mostImages(config)));
  const known = parametersOf(reply, sent.parameters);
  const { num_images, seed = randomInt(2 ** 32) } = known;
  const { name, model, reference } = findModel(registry, path, seed);
  const count = sent.images.length;
  assertFits(config, count * num_images);
  const bytes = answerBytes(config, sent, count * num_images);

  const requests = sent.images.map(
    (image, i): InpaintRequest => ({
      task: 'inpaint',
      image: asBuffer(image),
      mask: sent.masks && asBuffer(sent.masks[i]),
      model: reference,
      ...known,
      seed,
      preview_every: 0,
      metadata: 'strip',
      format: 'png',
    }),
  );
  const each = { ...limits, maxPixels: Math.floor(limits.maxPixels / count) };
  const files = await performAll(dependencies, reply, requests, each);
  const head = { model_name: name, model_version: model.card.version, id: sent.id };
  holdAnswer(reply, bytes); // only now: the pictures that were worked on have left the memory
  return writeFill(head, sent.wanted, { files, datatype: sent.datatype, seed });
}

/**
 * The files of all requests, in order. Each may take its share of MAX_SYNC_MS. The first that fails ends the others; rejects
 * with its error when all have ended.
 */
async function performAll(
  dependencies: Dependencies,
  reply: FastifyReply,
  requests: readonly InpaintRequest[],
  limits: GenerationLimits,
): Promise<Uint8Array[]> {
  const controller = new AbortController();
  const signal = AbortSignal.any([disconnectSignal(reply), controller.signal]);
  const maxMs = dependencies.config.MAX_SYNC_MS / requests.length;
  reply.raw.setMaxListeners(reply.raw.getMaxListeners() + requests.length); // each waits for its end
  let failure: unknown;
  const all = await Promise.all(
    requests.map((request, i) =>
      perform(dependencies, reply, request, undefined, { limits, signal, maxMs }).catch((error) => {
        failure ??= naming(error, i, requests.length);
        controller.abort(failure);
      }),
    ),
  );
  if (failure !== undefined) throw failure;
  return all.flatMap((generated) => generated?.files ?? []);
}

/** The bare network: the prediction for each row of x_t and t. The rows share batches with all other requests. */
export async function predict(
  { config, registry }: Dependencies,
  reply: FastifyReply,
  { name, model, signature }: FoundModel,
  message: Message,
): Promise<Message> {
  const { card, ref } = model;
  const sent = await reading(message, () =>
    readRows(message, signature, mostImages(config), card.schedule.T),
  );
  const { id, parameters, wanted, rows } = sent;
  const shape = [rows, card.out_channels, card.resolution, card.resolution];
  assertWritable(wanted, { prediction: shape });
  nameIgnored(reply, parameters, KNOWN_OF_ALL);
  assertReady(registry, { model, parameters: {} });
  Object.assign(reply.request.logFields, { model: ref, rows });
  const signal = disconnectSignal(reply);
  const reservation = model.admission.reserve(rows, reply.request.apiKey?.name, signal);
  try {
    await assertSoon(model, { base: rows }, config.MAX_SYNC_MS);
    const values = await evaluate(model, sent, { signal, reservation });
    reply.header('x-model', ref);
    holdAnswer(reply, values.byteLength);
    return await writeRows({ model_name: name, model_version: card.version, id }, wanted, { shape, values });
  } finally {
    reservation.release();
  }
}

/** Reserves memory for reading a request. */
async function reading<T>({ bytes }: Message, read: () => Promise<T>): Promise<T> {
  const needed = bytes.length * READ_BYTES;
  assertHoldable(needed, 'inputs', `reading a request of ${bytes.length} bytes`);
  const room = pictureBudget.reserve(needed);
  try {
    return await read();
  } finally {
    room.release();
  }
}

/** Reserves memory for an answer with a tensor of so many bytes, until it has been sent. */
function holdAnswer(reply: FastifyReply, bytes: number): void {
  const room = pictureBudget.reserve(bytes * WRITE_BYTES);
  whenSent(reply, () => room.release());
}

/** Names of parameters that have an effect: on any request, and on a fill. */
const KNOWN_OF_ALL = new Set(['binary_data_output']);
const KNOWN_OF_FILLS = new Set([...Object.keys(fillParameters.shape), ...KNOWN_OF_ALL]);

/** The parameters of a fill. The answer names those that have no effect. Throws Problem. */
function parametersOf(reply: FastifyReply, { priority, ...rest }: Record<string, unknown>): FillParameters {
  // Triton's clients have a priority of their own: a number, of which other servers have no notion.
  const sent = typeof priority === 'number' ? rest : { priority, ...rest };
  const parameters = validated(fillParameters, sent);
  nameIgnored(reply, rest, KNOWN_OF_FILLS);
  return parameters;
}

/** As many images as the queue always leaves to a request. */
const mostImages = (config: Config) => config.QUEUE_LIMIT - queueShares(config).background;

/** Throws Problem for more images than the queue always leaves to a request. */
function assertFits(config: Config, images: number): void {
  const most = mostImages(config);
  if (images <= most) return;
  const detail = `num_images: the request has ${images} images; at most ${most} are possible`;
  throw fieldProblem('invalid-request', 'num_images', detail);
}

/** The bytes of the tensor of images in the answer, 0 if it is not wanted. Throws Problem when they are too many. */
function answerBytes(
  { MAX_UPLOAD_BYTES }: Config,
  { wanted, shape, datatype }: FillRequest,
  images: number,
): number {
  const outputs = wanted.filter(({ name }) => name === 'images');
  if (outputs.length === 0) return 0;
  const numbers = datatype === 'BYTES' ? [images] : [images, ...shape.slice(1)];
  assertWritable(outputs, { images: numbers });
  const bytes = valuesIn(numbers) * (datatype === 'FP32' ? Float32Array.BYTES_PER_ELEMENT : 1);
  if (bytes <= MAX_UPLOAD_BYTES) {
    assertHoldable(bytes * WRITE_BYTES, 'inputs', `an answer of ${bytes} bytes`);
    return bytes;
  }
  const detail = `num_images: the answer would have ${bytes} bytes, more than ${MAX_UPLOAD_BYTES}; send UINT8 or BYTES`;
  throw fieldProblem('invalid-request', 'num_images', detail);
}

/** The error, with the picture that it is about where there are several. */
function naming(error: unknown, index: number, count: number): unknown {
  if (count === 1) return error;
  const name = `picture ${index} of 0..${count - 1}`;
  if (error instanceof PictureError)
    return new PictureError(error.field, error.code, `${name}: ${error.message}`);
  if (error instanceof TakesTooLongError)
    error.message = `${name}, which may take 1/${count} of MAX_SYNC_MS: ${error.message}`;
  return error;
}

const asBuffer = (file: Uint8Array) => Buffer.from(file.buffer, file.byteOffset, file.length);

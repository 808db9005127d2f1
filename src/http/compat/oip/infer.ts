import { randomInt } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { FastifyReply } from 'fastify';
import { mostAtOnce, mostInParts } from '../../../config/queue-shares.ts';
import type { Config } from '../../../config/settings.ts';
import { NotFiniteError } from '../../../engine/finite.ts';
import { InvalidParameterError, TakesTooLongError } from '../../../generation/errors.ts';
import { assertSoon } from '../../../generation/estimate.ts';
import { evaluate } from '../../../generation/evaluate.ts';
import { type GenerationLimits, generationLimits } from '../../../generation/prepare.ts';
import type { InpaintRequest } from '../../../generation/request.ts';
import { assertReady, resolve } from '../../../generation/resolve.ts';
import { pictureBudget } from '../../../image/budget.ts';
import { asBuffer } from '../../../image/buffer.ts';
import { assertHoldable, encodedBytes } from '../../../image/needs.ts';
import { PictureError } from '../../../image/picture.ts';
import type { Dependencies } from '../../dependencies.ts';
import { disconnectSignal, whenSent } from '../../disconnect.ts';
import { perform } from '../../perform.ts';
import { fieldProblem, Problem } from '../../problem.ts';
import { validated } from '../../validation.ts';
import { nameIgnored } from '../ignored.ts';
import { assertWritable, type Message, type Wanted } from './message.ts';
import { findModel, type ModelPath } from './models.ts';
import { type FillParameters, fillParameters } from './schemas.ts';
import type { FillRequest } from './tasks.ts';
import { type Datatype, invalid, valuesIn } from './tensors.ts';
import { readFill, readRows, writeFill, writeRows } from './threads.ts';

/** Memory that reading a request takes, for each byte of its body: its tensors, and pictures as files. */
const READ_BYTES = 4;
/**
 * And writing an answer, for each byte of its tensor: the tensor, and the message or its compressed form. In JSON, it takes
 * the tensor, its numbers of 8 bytes each, and the text twice: about 12 characters for an FP32 value, up to 4 for UINT8, and
 * 4 for 3 bytes of a file.
 */
const WRITE_BYTES = 2;
const WRITE_JSON_BYTES = { FP32: 9, UINT8: 17, INT64: 9, BYTES: 4 };

/** The whole task: fills the holes of N pictures, with the same seed. A picture is the same in any batch. */
export async function fill(
  dependencies: Dependencies,
  reply: FastifyReply,
  path: ModelPath,
  message: Message,
): Promise<Message> {
  const { config, registry } = dependencies;
  const limits = generationLimits(config);
  const sent = await reading(message, () => readFill(message, limits, mostInParts(config)));
  const known = parametersOf(reply, sent.parameters);
  const { num_images, seed = randomInt(2 ** 32) } = known;
  const { name, model, reference } = findModel(registry, path, seed);
  const count = sent.images.length;
  assertFits(config, count * num_images);
  const answerBytes = checkAnswer(config, sent, count * num_images);

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
  const each = {
    ...limits,
    maxPixels: Math.floor(limits.maxPixels / count),
    maxBytes: Math.floor(pictureBudget.holdable / count),
  };
  const files = await performAll(dependencies, reply, requests, each);
  const head = { model_name: name, model_version: model.card.version, id: sent.id };
  holdAnswer(reply, answerBytes(files)); // only now: the pictures that were worked on have left the memory
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
  resolve(dependencies.registry, requests[0]); // what is wrong with every picture is said of none
  const controller = new AbortController();
  const signal = AbortSignal.any([disconnectSignal(reply), controller.signal]);
  const maxMs = dependencies.config.MAX_SYNC_MS / requests.length;
  setMaxListeners(0, signal); // each waits for its end
  reply.raw.setMaxListeners(reply.raw.getMaxListeners() + requests.length);
  let failure: unknown;
  const all = await Promise.all(
    requests.map((request, i) =>
      perform(dependencies, reply, request, { limits, signal, maxMs }).catch((error) => {
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
  dependencies: Dependencies,
  reply: FastifyReply,
  path: ModelPath,
  message: Message,
): Promise<Message> {
  const { config, registry } = dependencies;
  const { name, model, signature } = findModel(registry, path);
  const { card, ref } = model;
  const sent = await reading(message, () =>
    readRows(message, signature, mostAtOnce(config), card.schedule.T),
  );
  // If a reload has removed or replaced the version meanwhile, its workers may have ended.
  if (!registry.list().includes(model)) return predict(dependencies, reply, path, message);
  const { id, parameters, wanted, rows } = sent;
  const shape = [rows, card.out_channels, card.resolution, card.resolution];
  assertWritable(wanted, { prediction: shape });
  const length = valuesIn(shape);
  const bytes = length * Float32Array.BYTES_PER_ELEMENT * writeBytes(wanted[0], 'FP32');
  assertHoldable(bytes, 'inputs', `an answer of ${length} values`);
  nameIgnored(reply, parameters, KNOWN_OF_ALL);
  assertReady(registry, model);
  Object.assign(reply.request.logFields, { model: ref, rows });
  const signal = disconnectSignal(reply);
  const reservation = model.admission.reserve(rows, reply.request.apiKey?.name, signal);
  try {
    await assertSoon(model, [{ network: 'base', rows, steps: 1 }], config.MAX_SYNC_MS);
    holdAnswer(reply, bytes);
    const values = await evaluate(model, sent, { signal, reservation }).catch((error) => {
      if (error instanceof NotFiniteError) throw invalid('x', 'the prediction of such values is not finite');
      throw error;
    });
    const prediction = { shape, values };
    reply.header('x-model', ref);
    return await writeRows({ model_name: name, model_version: card.version, id }, wanted, prediction);
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

const writeBytes = ({ binary }: Wanted, datatype: Datatype) =>
  binary ? WRITE_BYTES : WRITE_JSON_BYTES[datatype];

/** Reserves the memory that writing an answer takes, until it has been sent. */
function holdAnswer(reply: FastifyReply, bytes: number): void {
  const room = pictureBudget.reserve(bytes);
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

/** Throws Problem for more images than the queue always leaves to a request. */
function assertFits(config: Config, images: number): void {
  const most = mostInParts(config);
  if (images <= most) return;
  const detail = `num_images: the request has ${images} images; at most ${most} are possible`;
  throw fieldProblem('invalid-request', 'num_images', detail);
}

/**
 * Throws Problem or PictureError for more images than an answer may have, or than could ever be in memory, both as files and as
 * their tensor. Returns the bytes of memory that writing the answer takes, once its files are known.
 */
function checkAnswer(
  { MAX_UPLOAD_BYTES }: Config,
  { wanted, shape, datatype }: FillRequest,
  images: number,
): (files: readonly Uint8Array[]) => number {
  const output = wanted.find(({ name }) => name === 'images');
  if (!output) return () => 0;
  const perByte = writeBytes(output, datatype);
  if (datatype === 'BYTES')
    return (files) => {
      const bytes = files.reduce((sum, { length }) => sum + length, 0);
      assertHoldable(bytes + perByte * bytes, 'inputs', `an answer of ${bytes} bytes`);
      return perByte * bytes;
    };
  const numbers = [images, ...shape.slice(1)];
  assertWritable([output], { images: numbers });
  const values = valuesIn(numbers);
  const bytes = values * (datatype === 'FP32' ? Float32Array.BYTES_PER_ELEMENT : 1);
  if (bytes > MAX_UPLOAD_BYTES) {
    const detail = `num_images: the answer would have ${bytes} bytes, more than ${MAX_UPLOAD_BYTES}; send UINT8 or BYTES`;
    throw fieldProblem('invalid-request', 'num_images', detail);
  }
  assertHoldable(encodedBytes(values) + perByte * bytes, 'inputs', `an answer of ${bytes} bytes`);
  return () => perByte * bytes;
}

/** The error, with the picture that it is about where there are several. */
function naming(error: unknown, index: number, count: number): unknown {
  if (count === 1) return error;
  const name = `picture ${index} of 0..${count - 1}`;
  if (error instanceof PictureError) {
    const share = error.code === 'too-large' ? `, which may take 1/${count} of what a request may` : '';
    return new PictureError(error.field, error.code, `${name}${share}: ${error.message}`);
  }
  if (error instanceof InvalidParameterError)
    return new InvalidParameterError(error.field, `${name}: ${error.message}`);
  if (error instanceof TakesTooLongError) {
    const share = `which may take 1/${count} of MAX_SYNC_MS`;
    return new Problem('takes-too-long', `${name}, ${share}: ${error.message}`);
  }
  return error;
}

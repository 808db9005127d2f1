/** The functions that run in the threads of threads.ts: their cost is proportional to the bytes of a request. */
import type { Rows } from '../../../generation/evaluate.ts';
import type { SizeLimits } from '../../../image/picture.ts';
import { type FieldError, Problem, type Slug } from '../../problem.ts';
import {
  type AnswerHead,
  type InferRequest,
  type Message,
  readRequest,
  type Signature,
  type Wanted,
  writeAnswer,
} from './message.ts';
import { fromFiles, toFiles } from './pictures.ts';
import { FILL } from './signatures.ts';
import { type Datatype, invalid, type Tensor } from './tensors.ts';

/** The largest magnitude in x, far beyond any x_t: much larger values become NaN in a network, as on a GPU that has failed. */
const MAX_VALUE = 1000;

type Head = Pick<InferRequest, 'id' | 'parameters' | 'wanted'>;

/** A request to fill holes: a file, and perhaps a mask, for each of N pictures. */
export interface FillRequest extends Head {
  images: Uint8Array[];
  masks?: Uint8Array[];
  datatype: Datatype;
  shape: number[];
}

export interface RowsRequest extends Head, Rows {}

function find<Name extends string>({ tensors }: InferRequest, name: Name): Tensor {
  const tensor = tensors.find((each) => each.name === name);
  if (!tensor) throw invalid(name, 'this input is missing');
  return tensor;
}

/** `maxPixels`: of all pictures of the request, which are at most `most`; `maxSide`: of each. */
async function readFill(
  message: Message,
  { maxPixels, maxSide }: SizeLimits,
  most: number,
): Promise<FillRequest> {
  const request = readRequest(message, FILL, most);
  const { id, parameters, wanted, tensors } = request;
  const image = find(request, 'image');
  const mask = tensors.find(({ name }) => name === 'mask');
  const [count] = image.shape;
  if (mask && mask.shape[0] !== count) {
    throw invalid('mask', `there are ${mask.shape[0]} masks for ${count} pictures`);
  }
  const each = { maxPixels: Math.floor(maxPixels / count), maxSide };
  const images = await toFiles(image, each);
  const masks = mask && (await toFiles(mask, each));
  return { id, parameters, wanted, images, masks, datatype: image.datatype, shape: image.shape };
}

/** At most `most` rows. `T`: of the model's schedule; timesteps are 0..T-1. */
async function readRows(
  message: Message,
  signature: Signature,
  most: number,
  T: number,
): Promise<RowsRequest> {
  const request = readRequest(message, signature, most);
  const { id, parameters, wanted } = request;
  const x = find(request, 'x').values as Float32Array;
  const t = Float32Array.from(find(request, 't').values as Iterable<number | bigint>, Number);
  const [rows] = find(request, 'x').shape;
  if (t.length !== rows) throw invalid('t', `there are ${t.length} timesteps for ${rows} rows of x`);
  if (!x.every((value) => Math.abs(value) <= MAX_VALUE)) {
    throw invalid('x', `its values must be from ${-MAX_VALUE} to ${MAX_VALUE}`);
  }
  if (!t.every((each) => each >= 0 && each <= T - 1)) throw invalid('t', `timesteps are from 0 to ${T - 1}`);
  return { id, parameters, wanted, rows, x, t };
}

async function writeFill(
  head: AnswerHead,
  wanted: Wanted[],
  result: { files: Uint8Array[]; datatype: Datatype; seed: number },
): Promise<Message> {
  const isWanted = wanted.some(({ name }) => name === 'images');
  const images = isWanted ? [await fromFiles('images', result.files, result.datatype)] : [];
  const values = BigInt64Array.of(BigInt(result.seed));
  return writeAnswer(head, wanted, [...images, { name: 'seed', datatype: 'INT64', shape: [1], values }]);
}

async function writeRows(
  head: AnswerHead,
  wanted: Wanted[],
  prediction: { shape: number[]; values: Float32Array },
): Promise<Message> {
  return writeAnswer(head, wanted, [{ name: 'prediction', datatype: 'FP32', ...prediction }]);
}

export const tasks = { readFill, readRows, writeFill, writeRows };
export type Tasks = typeof tasks;

/** A Problem as plain data, because an Error loses its class and fields when it is sent to another thread. */
export interface Refusal {
  refused: { slug: Slug; message: string; errors: FieldError[] };
}

export default async function run({ name, args }: { name: keyof Tasks; args: unknown[] }): Promise<unknown> {
  try {
    const task = tasks[name] as (...args: unknown[]) => Promise<unknown>;
    return { value: await task(...args) };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const { slug, message, errors } = error;
    return { refused: { slug, message, errors } } satisfies Refusal;
  }
}

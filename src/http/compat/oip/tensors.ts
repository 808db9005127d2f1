import { base64 } from '../../../image/base64.ts';
import { asBuffer } from '../../../image/buffer.ts';
import { fieldProblem, type Problem } from '../../problem.ts';

/** Bytes of a value of each datatype, little-endian; values of BYTES have a length of their own. */
const SIZES = { FP32: 4, UINT8: 1, INT64: 8, BYTES: undefined } as const;
export type Datatype = keyof typeof SIZES;

export type Values = Float32Array | Uint8Array | BigInt64Array | Uint8Array[];

/** A named array of the Open Inference Protocol, row-major. BYTES: one Uint8Array for each value. */
export interface Tensor {
  name: string;
  datatype: Datatype;
  shape: number[];
  values: Values;
}

/** What a model takes or gives under a name: the shape for each datatype that it accepts. -1: any size. */
export interface TensorSpec {
  name: string;
  /** The first one is named in the metadata. */
  shapes: Partial<Record<Datatype, number[]>>;
}

/** An input as the request describes it. */
export interface SentTensor {
  name: string;
  datatype: string;
  shape: number[];
  data?: unknown;
}

/** Levels of nesting of `data`: as many as a shape may have dimensions. */
const MAX_DEPTH = 8;
/** Bytes of the length before each value of BYTES. */
const LENGTH_BYTES = 4;

export const invalid = (name: string, why: string): Problem =>
  fieldProblem('invalid-request', `inputs/${name}`, `${name}: ${why}`);

export const valuesIn = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

/** Checks datatype and shape of an input, whose first dimension counts images: at most `most`. Throws Problem. */
export function checkShape(
  { name, datatype, shape }: SentTensor,
  { shapes }: TensorSpec,
  most: number,
): Datatype {
  if (!Object.hasOwn(shapes, datatype)) {
    throw invalid(name, `its datatype is ${datatype}; send ${Object.keys(shapes).join(', ')}`);
  }
  const wanted = shapes[datatype as Datatype] ?? [];
  const fits = (size: number, i: number) => size >= 1 && (wanted[i] === -1 || wanted[i] === size);
  if (shape.length !== wanted.length || !shape.every(fits)) {
    const text = wanted.map((size) => (size === -1 ? 'any' : size)).join(', ');
    throw invalid(name, `its shape is [${shape.join(', ')}]; send [${text}] for ${datatype}`);
  }
  if (shape[0] > most) throw invalid(name, `it has ${shape[0]} images; at most ${most} are possible`);
  return datatype as Datatype;
}

/** The values of a tensor that were sent as bytes. Throws Problem unless they are as many as the shape says. */
export function fromBytes({ name, shape }: SentTensor, datatype: Datatype, bytes: Uint8Array): Values {
  const count = valuesIn(shape);
  const size = SIZES[datatype];
  if (size === undefined) return splitBytes(name, count, bytes);
  if (count * size !== bytes.length) {
    throw invalid(name, `${datatype} of this shape has ${count * size} bytes; ${bytes.length} were sent`);
  }
  if (datatype === 'UINT8') return bytes;
  const aligned = new Uint8Array(bytes).buffer; // a copy, because a typed array must start at a multiple of its size
  return datatype === 'FP32' ? new Float32Array(aligned) : new BigInt64Array(aligned);
}

function splitBytes(name: string, count: number, bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const values: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (values.length === count) throw invalid(name, `its shape has ${count} values; more were sent`);
    const start = at + LENGTH_BYTES;
    const end = start <= bytes.length ? start + view.getUint32(at, true) : Number.POSITIVE_INFINITY;
    if (end > bytes.length) throw invalid(name, 'its bytes end before its last value does');
    values.push(new Uint8Array(bytes.subarray(start, end))); // a copy: a view sent to a thread takes all of the body along
    at = end;
  }
  if (values.length < count) throw invalid(name, `${values.length} values were sent; its shape has ${count}`);
  return values;
}

/** The values of a tensor that were sent in JSON, nested or not. BYTES are base64. Throws Problem. */
export function fromJson({ name, shape, data }: SentTensor, datatype: Datatype): Values {
  const items: unknown[] = [];
  flatten(name, data, items, 0);
  const count = valuesIn(shape);
  if (items.length !== count) {
    throw invalid(name, `${items.length} values were sent; its shape has ${count}`);
  }
  switch (datatype) {
    case 'FP32':
      return Float32Array.from(items, (item) => number(name, item, Number.isFinite, 'a number'));
    case 'UINT8': {
      const isByte = (item: number) => Number.isInteger(item) && item >= 0 && item <= 255;
      return Uint8Array.from(items, (item) => number(name, item, isByte, 'a whole number from 0 to 255'));
    }
    case 'INT64':
      return BigInt64Array.from(items, (item) =>
        BigInt(number(name, item, Number.isSafeInteger, 'a whole number')),
      );
    case 'BYTES':
      return items.map((item) => base64Bytes(name, item));
  }
}

function flatten(name: string, data: unknown, items: unknown[], depth: number) {
  if (!Array.isArray(data) || depth === MAX_DEPTH) throw invalid(name, '`data` must be an array of values');
  for (const item of data) {
    if (Array.isArray(item)) flatten(name, item, items, depth + 1);
    else items.push(item);
  }
}

function number(name: string, item: unknown, accepts: (item: number) => boolean, what: string): number {
  if (typeof item === 'number' && accepts(item)) return item;
  throw invalid(name, `each value must be ${what}`);
}

function base64Bytes(name: string, item: unknown): Uint8Array {
  if (typeof item === 'string' && /^[A-Za-z0-9+/_-]*={0,2}\s*$/.test(item))
    return Buffer.from(item, 'base64');
  throw invalid(name, 'each value must be base64');
}

/** The bytes of a tensor, in the order of its values. */
export function toBytes({ values }: Tensor): Buffer[] {
  if (!Array.isArray(values)) return [asBuffer(values)];
  return values.flatMap((value) => {
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32LE(value.length);
    return [length, asBuffer(value)];
  });
}

/** Digits with which every number of 32 bits is read back as it was. */
const FP32_DIGITS = 9;

/** The values as JSON has them. */
export function toJson({ values }: Tensor): (number | string)[] {
  if (values instanceof Float32Array)
    return Array.from(values, (value) => Number(value.toPrecision(FP32_DIGITS)));
  if (values instanceof BigInt64Array) return Array.from(values, Number);
  if (values instanceof Uint8Array) return Array.from(values);
  return values.map(base64);
}

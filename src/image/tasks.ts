/** The functions that run in image threads, started by threads.ts. Their cost is proportional to a picture's pixels. */
import { setImmediate } from 'node:timers/promises';
import { adjustMask } from './adjust.ts';
import { asBuffer } from './buffer.ts';
import { type CompositeOptions, composite, type Fill, patchOf } from './composite.ts';
import { decodePicture } from './decode.ts';
import { knownFeatures } from './drift.ts';
import { encodeMask, encodePicture } from './encode.ts';
import { collectGarbage } from './garbage.ts';
import { growMask } from './grow.ts';
import { readHeader } from './header.ts';
import { measureHole } from './mask.ts';
import { decodeMask, maskFromAlpha } from './mask-reading.ts';
import { type Box, type Mask, type Picture, PictureError, square } from './picture.ts';
import { maskToTensor, pictureToTensor } from './region.ts';
import { levelPixels } from './regions/level.ts';
import { planRegions } from './regions/plan.ts';
import { uncertainty } from './uncertainty.ts';

/** The network's input for a picture with a hole (see region.ts), and the features of its known pixels (see drift.ts). */
async function knownRegion(picture: Picture, hole: Mask, box: Box, resolution: number) {
  const size = square(resolution);
  const x0 = await pictureToTensor(picture, box, size, hole);
  const mask = maskToTensor(hole, box, size);
  return { x0, mask, features: knownFeatures(x0, mask) };
}

/** The picture with its hole filled. The fills become pictures here: they may have as many pixels as the picture. */
async function compositeFills(
  picture: Picture,
  hole: Mask,
  fills: readonly Fill[],
  options: CompositeOptions,
) {
  return shared(await composite(picture, hole, fills.map(patchOf), options));
}

export const tasks = {
  readHeader,
  decodePicture: async (...args: Parameters<typeof decodePicture>) => shared(await decodePicture(...args)),
  decodeMask: async (...args: Parameters<typeof decodeMask>) => shared(await decodeMask(...args)),
  growMask: async (...args: Parameters<typeof growMask>) => shared(growMask(...args)),
  adjustMask: async (...args: Parameters<typeof adjustMask>) => shared(adjustMask(...args)),
  maskFromAlpha: async (picture: Picture) => shared(maskFromAlpha(picture)),
  measureHole: async (mask: Mask) => measureHole(mask),
  pictureToTensor,
  knownRegion,
  maskToTensor: async (...args: Parameters<typeof maskToTensor>) => maskToTensor(...args),
  planRegions: async (...args: Parameters<typeof planRegions>) => planRegions(...args),
  levelPixels: async (...args: Parameters<typeof levelPixels>) => levelPixels(...args),
  composite: compositeFills,
  uncertainty: async (...args: Parameters<typeof uncertainty>) => shared(uncertainty(...args)),
  encodePicture,
  encodeMask,
};
export type Tasks = typeof tasks;

/** A PictureError as plain data, because an Error loses its class and fields when it is sent to another thread. */
export interface Refusal {
  refused: { field: string; code: PictureError['code']; message: string };
}

/** Bytes of pixels and files, seen since the last collection of garbage, after which this thread collects it. */
const GARBAGE_BYTES = 32_000_000;
let seen = 0;

export default async function run({ name, args }: { name: keyof Tasks; args: unknown[] }): Promise<unknown> {
  const answer = await perform(name, args);
  seen += bytesIn([args, answer]);
  if (seen > GARBAGE_BYTES) {
    seen = 0;
    collectGarbage();
    await setImmediate(); // Node frees the buffers that sharp has made after the collection
  }
  return answer;
}

async function perform(name: keyof Tasks, args: unknown[]): Promise<unknown> {
  try {
    const task = tasks[name] as (...args: unknown[]) => Promise<unknown>;
    return { value: await task(...args.map(restored)) };
  } catch (error) {
    if (!(error instanceof PictureError)) throw error;
    const { field, code, message } = error;
    return { refused: { field, code, message } } satisfies Refusal;
  }
}

/** Copies the pixels to shared memory, so that later transfers between threads do not copy them. */
function shared<T extends { data: Uint8Array; data16?: Uint16Array; weights?: Uint8Array }>(image: T): T {
  const copy = { ...image, data: sharedBytes(image.data) };
  if (image.weights) copy.weights = sharedBytes(image.weights);
  if (image.data16) {
    copy.data16 = new Uint16Array(new SharedArrayBuffer(image.data16.byteLength));
    copy.data16.set(image.data16);
  }
  return copy;
}

function sharedBytes(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}

/** Bytes of the arrays in a value: of pictures, files and tensors. */
function bytesIn(value: unknown): number {
  if (ArrayBuffer.isView(value)) return value.byteLength;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce((sum: number, each) => sum + bytesIn(each), 0);
}

/** Restores a Buffer, which arrives in another thread as a plain Uint8Array. */
function restored(arg: unknown): unknown {
  return arg instanceof Uint8Array && !Buffer.isBuffer(arg) ? asBuffer(arg) : arg;
}

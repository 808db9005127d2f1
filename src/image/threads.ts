/**
 * The image functions, run in a thread pool. A pass over a picture of 12 megapixels takes tens of milliseconds, and must
 * not block health probes, progress events and other requests. For tiny pictures the way to a thread and back costs more
 * than the work, so that is done here; codecs run in threads of their own in any case. Names and errors are the same as in
 * tasks.ts.
 */
import { Piscina } from 'piscina';
import { entryPoint } from '../entry-point.ts';
import { usableCores } from '../machine.ts';
import { pictureBudget, type Room } from './budget.ts';
import { type Limits, type PictureHeader, tooSlow } from './header.ts';
import { type Cost, Lanes } from './lanes.ts';
import type { MaskReading } from './mask-reading.ts';
import {
  decodedBytes,
  decodeWork,
  encodeWork,
  largest,
  levelPixelsOf,
  levelWork,
  maskBytes,
  maskWork,
  pixelsOf,
  WORK,
} from './needs.ts';
import { countedPixels, type Mask, type Picture, PictureError, type Size } from './picture.ts';
import type { LevelPixels } from './regions/level.ts';
import { type Refusal, type Tasks, tasks } from './tasks.ts';

/** libvips runs in the threads of libuv's pool, which has four. */
const MAX_THREADS = 4;
/** Threads for slow tasks. More would only compete with the network for cores. */
const SLOW_THREADS = Math.min(MAX_THREADS - 1, usableCores());
/** Pictures up to this size, in pixels, are fast: a task takes about a tenth of a second at most. */
const FAST_PIXELS = 1_000_000;
/** Files up to this size, in bytes: the header of a larger one may contain much to skip or to inflate. */
const FAST_FILE_BYTES = 1_000_000;
/** Pictures up to this size, in pixels, are processed without a thread: in about a millisecond at most. */
const TINY_PIXELS = 128 ** 2;
/** Files up to this size, in bytes, are read without a thread. A profile in a PNG may inflate to 4 MB, in about 10 ms. */
const TINY_FILE_BYTES = 32_768;

const threads = SLOW_THREADS + 1;
const { url, execArgv } = entryPoint(import.meta.url, 'tasks');
const pool = new Piscina({
  filename: url.href,
  execArgv,
  minThreads: 1,
  maxThreads: threads,
  idleTimeout: 30_000,
});
const lanes = new Lanes({ threads, slowThreads: SLOW_THREADS, workable: () => pictureBudget.workable });

/** What a task costs, and whether it is done without a thread. */
interface TaskCost extends Cost {
  tiny: boolean;
}

interface RunOptions {
  onStart?: () => void;
  /** Memory that moves to the thread, where there is one: it is not copied, and cannot be used here any more. */
  transfer?: ArrayBuffer[];
}

async function run<Name extends keyof Tasks>(
  cost: TaskCost,
  name: Name,
  args: Parameters<Tasks[Name]>,
  { onStart, transfer }: RunOptions = {},
): Promise<Awaited<ReturnType<Tasks[Name]>>> {
  if (cost.tiny) {
    onStart?.();
    const task = tasks[name] as (...args: unknown[]) => ReturnType<Tasks[Name]>;
    return await task(...args);
  }
  const answer = await lanes.run(cost, (): Promise<{ value: unknown } | Refusal> => {
    onStart?.();
    return pool.run({ name, args }, { transferList: transfer });
  });
  if ('value' in answer) return answer.value as Awaited<ReturnType<Tasks[Name]>>;
  const { field, code, message } = answer.refused;
  throw new PictureError(field, code, message);
}

/** `fileBytes`: of the file that is read. */
const costOf = (pixels: number, bytes: number, fileBytes = 0): TaskCost => ({
  slow: pixels > FAST_PIXELS,
  tiny: pixels <= TINY_PIXELS && fileBytes <= TINY_FILE_BYTES,
  bytes,
});

/** A file whose header has been read and checked. */
export interface EncodedPicture {
  bytes: Buffer;
  /** Name of the request field, for errors. */
  field: string;
  header: PictureHeader;
  limits: Required<Limits>;
}

/** Reads and checks the header of a file: see readHeader. Decoding it needs room, which depends on its size. */
export async function inspect(
  bytes: Buffer,
  field: string,
  limits: Required<Limits>,
): Promise<EncodedPicture> {
  // The thread has a copy of the file, and another one if it repairs it.
  const { length } = bytes;
  const cost = { slow: length > FAST_FILE_BYTES, tiny: length <= TINY_FILE_BYTES, bytes: 2 * length };
  const header = await within(field, limits, (onStart) =>
    run(cost, 'readHeader', [bytes, field, limits], { onStart }),
  );
  return { bytes, field, header, limits };
}

/** Decodes a picture; `room` must have been reserved for it (needs.ts). */
export async function decodePicture(file: EncodedPicture, room: Room): Promise<Picture> {
  const { bytes, field, limits, header } = file;
  const cost = costOf(countedPixels(header), decodeWork(header), bytes.length);
  return decode(file, room, decodedBytes(header), (onStart) =>
    run(cost, 'decodePicture', [bytes, field, limits, header], { onStart }),
  );
}

/** Decodes a mask; `room` must have been reserved for it (needs.ts). */
export async function decodeMask(file: EncodedPicture, room: Room, reading?: MaskReading): Promise<Mask> {
  const { bytes, field, limits, header } = file;
  const cost = costOf(countedPixels(header), maskWork(header), bytes.length);
  return decode(file, room, maskBytes(header), (onStart) =>
    run(cost, 'decodeMask', [bytes, field, limits, header, reading], { onStart }),
  );
}

async function decode<T>(
  { field, limits }: EncodedPicture,
  room: Room,
  need: number,
  run: (start: () => void) => Promise<T>,
): Promise<T> {
  if (room.bytes < need) throw new RangeError(`decoding needs ${need} bytes, ${room.bytes} are reserved`);
  return within(field, limits, (start) => {
    const task = run(start);
    room.keepFor(task);
    return task;
  });
}

/**
 * Rejects with PictureError 'too-slow' when a task has not ended within the time limit after its start. A codec that
 * decodes a picture at once cannot be stopped: its task keeps its thread, one of those for slow tasks, and its memory
 * until it has ended.
 */
async function within<T>(
  field: string,
  limits: Required<Limits>,
  work: (start: () => void) => Promise<T>,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<T>((resolve, reject) => {
      const start = () => {
        timer = setTimeout(() => reject(tooSlow(field, limits)), limits.timeoutMs);
      };
      work(start).then(resolve, reject);
    });
  } finally {
    clearTimeout(timer);
  }
}

/** Work on pictures and masks whose working memory is at most WORK for each of their pixels. */
const passOver = (size: Size): TaskCost => costOf(pixelsOf(size), pixelsOf(size) * WORK);

/** The image functions whose first parameter is a picture or a mask, and that pass over it. */
function offload<
  Name extends
    | 'growMask'
    | 'adjustMask'
    | 'maskFromAlpha'
    | 'measureHole'
    | 'pictureToTensor'
    | 'knownRegion'
    | 'maskToTensor'
    | 'planRegions',
>(name: Name, isTiny: (...args: Parameters<Tasks[Name]>) => boolean = () => true) {
  return (...args: Parameters<Tasks[Name]>): ReturnType<Tasks[Name]> => {
    const cost = passOver(args[0]);
    return run({ ...cost, tiny: cost.tiny && isTiny(...args) }, name, args) as ReturnType<Tasks[Name]>;
  };
}
export const growMask = offload('growMask');
export const adjustMask = offload('adjustMask');
export const maskFromAlpha = offload('maskFromAlpha');
export const measureHole = offload('measureHole');
export const pictureToTensor = offload(
  'pictureToTensor',
  (_picture, _box, size) => pixelsOf(size) <= TINY_PIXELS,
);
export const knownRegion = offload(
  'knownRegion',
  (_picture, _hole, _box, resolution) => resolution ** 2 <= TINY_PIXELS,
);
export const maskToTensor = offload('maskToTensor', (_mask, _box, size) => pixelsOf(size) <= TINY_PIXELS);
/** The windows of a thin picture extend beyond it, and have many more pixels. */
export const planRegions = offload('planRegions', () => false);

/** Unless everything is tiny, the memory of the fills moves to the thread. They may be used once. */
export async function composite(...args: Parameters<Tasks['composite']>): Promise<Picture> {
  const [picture, , fills] = args;
  const cost = passOver(picture);
  const tiny = cost.tiny && fills.every((fill) => pixelsOf(fill) <= TINY_PIXELS);
  const transfer = fills.flatMap(({ x0: { buffer } }) => (buffer instanceof ArrayBuffer ? buffer : []));
  return run({ ...cost, tiny }, 'composite', args, { transfer });
}

export async function levelPixels(...args: Parameters<Tasks['levelPixels']>): Promise<LevelPixels> {
  const [picture, , level] = args;
  const cost = costOf(levelPixelsOf(level, picture), levelWork(level));
  return run({ ...cost, tiny: false }, 'levelPixels', args); // see planRegions
}

export async function uncertainty(...args: Parameters<Tasks['uncertainty']>): Promise<Mask> {
  return run(passOver(args[1]), 'uncertainty', args);
}

export async function encodePicture(...args: Parameters<Tasks['encodePicture']>): Promise<Uint8Array> {
  const [picture, { format, size = picture }] = args;
  const larger = largest(picture, size);
  const work = encodeWork(larger, format, picture.data16 !== undefined);
  return run(costOf(countedPixels(larger), work), 'encodePicture', args);
}

export async function encodeMask(...args: Parameters<Tasks['encodeMask']>): Promise<Uint8Array> {
  const [mask] = args;
  return run(costOf(countedPixels(mask), encodeWork(mask, 'png')), 'encodeMask', args);
}

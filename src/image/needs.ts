/**
 * Bytes of memory that pictures and the work on them take, from their size alone. The figures for working memory are the
 * peaks that bench/picture-memory.ts measures, without what the function was given and its result, rounded up.
 */
import { pictureBudget } from './budget.ts';
import { isDeep, type PictureHeader } from './header.ts';
import { type OutputFormat, PictureError, type Size, square } from './picture.ts';
import type { Level, Plan } from './regions/plan.ts';
import { inPicture, toPicture } from './regions/windows.ts';

/** What is known about a picture's size in memory before it is decoded. */
type Header = Pick<PictureHeader, 'width' | 'height' | 'hasAlpha' | 'format' | 'space' | 'depth' | 'icc'>;

/** Working memory of the decoders, besides the decoded picture, for each pixel: a copy, and the codec's own buffers. */
const DECODE_WORK: Record<string, number> = { heif: 28, webp: 14 };
const OTHER_DECODE_WORK = 14;
/** What 16 bits per channel take in addition. */
const DEEP_DECODE_WORK = 8;
/** To find the soft edge of a mask: its values, and lists of the pixels at the edge. */
const SOFT_EDGE_WORK = 16;
/** Of the encoders. */
const ENCODE_WORK: Record<OutputFormat, number> = { png: 8, jpeg: 16, webp: 44 };
/** What 16 bits per channel take in addition. */
const DEEP_ENCODE_WORK = 16;
/** Of every other function: pyramids of colours, distances, resized crops. Most for a composite with mask_blur. */
export const WORK = 24;

/** A mask from a file: its hole, and the weights of a soft edge. One from transparent pixels has the hole alone. */
const MASK_BYTES = 2;
const ALPHA_MASK_BYTES = 1;
/** Known pixels of a level, for each pixel of its canvas: three colours and the mask, as floats. */
const LEVEL_BYTES = 16;
/**
 * The fill of a region by one candidate, for each pixel of the finest canvas: three colours as floats (12), whose memory moves
 * from the thread of trajectories to that which makes bytes of them (3); the coarser fills (4), the last of them also
 * sharpened (3); and the place of each pixel among those of the hole (4).
 */
const FILL_BYTES = 26;
/**
 * A candidate's state in the windows of a stage, for each of their pixels: the networks' inputs (up to 8 channels), x_t, the
 * estimates of x_0, the enlarged coarse fill, and indices.
 */
const WINDOW_BYTES = 128;

export const pixelsOf = ({ width, height }: Size): number => width * height;

export const largest = (...sizes: Size[]) => sizes.reduce((a, b) => (pixelsOf(b) > pixelsOf(a) ? b : a));

const channelsOf = ({ hasAlpha }: Header) => (hasAlpha ? 4 : 3);

/** A decoded picture: 8 bits of each channel, and also 16 where the file has more than 8. Its profile is in the header as well. */
export const decodedBytes = (header: Header): number =>
  pixelsOf(header) * channelsOf(header) * (isDeep(header) ? 3 : 1) + 2 * (header.icc?.length ?? 0);

export const decodeWork = (header: Header): number =>
  pixelsOf(header) *
  ((DECODE_WORK[header.format] ?? OTHER_DECODE_WORK) + (isDeep(header) ? DEEP_DECODE_WORK : 0));

/** A decoded mask. */
export const maskBytes = (mask: Header): number => pixelsOf(mask) * MASK_BYTES;

/** A mask is decoded as a picture first. */
export const maskWork = (mask: Header): number =>
  decodeWork(mask) + decodedBytes(mask) + pixelsOf(mask) * SOFT_EDGE_WORK;

export const encodeWork = (size: Size, format: OutputFormat, deep = false): number =>
  pixelsOf(size) * (ENCODE_WORK[format] + (deep && format === 'png' ? DEEP_ENCODE_WORK : 0));

/** Pixels of the picture that a level's canvas covers. */
export const levelPixelsOf = ({ canvas, level }: Pick<Level, 'canvas' | 'level'>, picture: Size): number =>
  pixelsOf(toPicture(inPicture(canvas, level, picture), level));

/** An encoded picture, at most: of noise, with its profile and the metadata. */
export const encodedBytes = (pixelBytes: number, icc = 0) => Math.ceil(pixelBytes * 1.02) + icc + 10_000;

export interface PictureNeeds {
  /** Bytes of the decoded pictures that it came with. */
  input: number;
  /** Bytes until they have been decoded and checked: the input, and working memory beyond the lanes'. */
  check: number;
  /** Bytes until it has been answered: the input, every result decoded and encoded, and that working memory. */
  total: number;
}

interface Wanted {
  numImages: number;
  format: OutputFormat;
  /** Whether the hole is grown or shrunk, which needs a second mask. */
  grow?: boolean;
  /** How the hole is filled, where it is filled in windows. */
  plan?: Plan;
  /** Size of the results, if it is not the picture's own. */
  size?: Size;
}

/** What a request takes that fills the hole of a picture. `mask`: absent where the picture's transparent pixels are the hole. */
export function inpaintNeeds(
  image: Header,
  mask: Header | undefined,
  { numImages, format, grow, plan, size = image }: Wanted,
): PictureNeeds {
  const pixels = pixelsOf(image);
  const decoded = decodedBytes(image);
  const deep = isDeep(image);
  const hole = mask ? maskBytes(mask) : pixels * ALPHA_MASK_BYTES;
  const input = decoded + hole + (grow ? pixels : 0);
  const uncertainty = numImages > 1 ? pixels + encodedBytes(pixels) : 0;
  const written = pixelsOf(size) * channelsOf(image) * (deep && format === 'png' ? 2 : 1);
  const results = numImages * (decoded + encodedBytes(written, image.icc?.length)) + uncertainty;
  const tensors = plan ? windowBytes(plan, numImages) : 0;
  const checking = [decodeWork(image), mask ? maskWork(mask) : 0, pixels * WORK];
  const encoding = encodeWork(largest(image, size), format, deep);
  const filling = plan ? [windowWork(plan)] : [];
  return {
    input,
    check: input + beyondLanes(...checking),
    total: input + results + tensors + beyondLanes(...checking, ...filling, encoding),
  };
}

/** What a request takes that starts from a picture, and whose results have its size or another one. */
export function varyNeeds(
  image: Header,
  side: number,
  { numImages, format, size = image }: Wanted,
): PictureNeeds {
  const input = decodedBytes(image);
  const checking = [decodeWork(image), pixelsOf(image) * WORK];
  return {
    input,
    check: input + beyondLanes(...checking),
    total: input + beyondLanes(...checking) + sampleNeeds(side, { numImages, format, size }).total,
  };
}

/** The tensors of all levels of a plan, and every candidate's state and fills. */
function windowBytes({ regions }: Plan, numImages: number): number {
  let [known, fills] = [0, 0];
  /** Pixels of the windows of each stage. */
  const stages: number[] = [];
  for (const { levels } of regions) {
    for (const [i, { canvas, windows }] of levels.entries()) {
      known += pixelsOf(canvas);
      stages[i] = (stages[i] ?? 0) + windows.length * pixelsOf(windows[0]);
    }
    fills += pixelsOf(levels[levels.length - 1].canvas);
  }
  return known * LEVEL_BYTES + numImages * (fills * FILL_BYTES + Math.max(...stages) * WINDOW_BYTES);
}

/** Working memory to read the levels of a plan from a picture. */
const windowWork = ({ regions }: Plan): number =>
  Math.max(...regions.flatMap(({ levels }) => levels.map(levelWork)));

/** Where a canvas extends beyond the picture, the part within it is read first. */
export const levelWork = ({ canvas }: Pick<Level, 'canvas'>): number => pixelsOf(canvas) * LEVEL_BYTES;

/** What a request takes that generates pictures from noise. */
export function sampleNeeds(
  side: number,
  { numImages, format, size = square(side) }: Pick<Wanted, 'numImages' | 'format' | 'size'>,
): PictureNeeds {
  const results = numImages * (pixelsOf(square(side)) * 3 + encodedBytes(pixelsOf(size) * 3));
  return {
    input: 0,
    check: 0,
    total: results + beyondLanes(encodeWork(largest(size, square(side)), format)),
  };
}

/** What it takes to decode a picture and look at it. */
export function decodeNeeds(image: Header): number {
  return decodedBytes(image) + beyondLanes(decodeWork(image), pixelsOf(image) * WORK);
}

/** What it takes to noise `count` squares of a side: their pixels, also in a strip, and files. */
export function noiseNeeds(side: number, count: number): number {
  const pixelBytes = 3 * side ** 2;
  return count * (2 * pixelBytes + encodedBytes(pixelBytes));
}

/** What it takes to decode a mask, to change its hole, and to write it as an RGBA PNG. */
export function adjustNeeds(mask: Header): number {
  const pixels = pixelsOf(mask);
  const painted = 4 * pixels;
  const work = beyondLanes(maskWork(mask), pixels * WORK, encodeWork(mask, 'png'));
  return maskBytes(mask) + painted + encodedBytes(painted) + work;
}

/** The part of the largest task's working memory that exceeds what the lanes have: the request itself holds it. */
const beyondLanes = (...work: number[]) => Math.max(0, Math.max(...work) - pictureBudget.workable);

/**
 * Checks that a request can ever have the memory that it needs.
 *
 * @param what the work, as the subject of "would take ... of memory"
 * @param most bytes that it may have
 * @throws PictureError 'too-large'
 */
export function assertHoldable(
  bytes: number,
  field: string,
  what: string,
  most = pictureBudget.holdable,
): void {
  if (bytes <= most) return;
  const megabytes = (count: number) => Math.ceil(count / 1e6);
  const message = `${what} would take ${megabytes(bytes)} MB of memory; a request may take ${megabytes(most)} MB`;
  throw new PictureError(field, 'too-large', message);
}

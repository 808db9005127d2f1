/**
 * Bytes of memory that pictures and the work on them take, from their size alone. The figures for working memory are the
 * peaks that bench/picture-memory.ts measures, without what the function was given and its result, rounded up.
 */
import type { Metadata } from 'sharp';
import { pictureBudget } from './budget.ts';
import { type OutputFormat, PictureError } from './picture.ts';

type Header = Pick<Metadata, 'width' | 'height' | 'hasAlpha' | 'format' | 'icc'>;

/** Working memory of the decoders, besides the decoded picture, for each pixel: a copy, and the codec's own buffers. */
const DECODE_WORK: Record<string, number> = { heif: 28, webp: 14 };
const OTHER_DECODE_WORK = 14;
/** Of the encoders. */
const ENCODE_WORK: Record<OutputFormat, number> = { png: 8, jpeg: 14, webp: 44 };
/** Of every other function: pyramids of colours, distances, resized crops. Most for a composite with mask_blur. */
export const WORK = 24;

export const pixelsOf = ({ width, height }: { width: number; height: number }): number => width * height;

/** A decoded picture. */
export const decodedBytes = (header: Header): number => pixelsOf(header) * (header.hasAlpha ? 4 : 3);

export const decodeWork = (header: Header): number =>
  pixelsOf(header) * (DECODE_WORK[header.format] ?? OTHER_DECODE_WORK);

export const encodeWork = (pixels: number, format: OutputFormat): number => pixels * ENCODE_WORK[format];

/** An encoded picture, at most: of noise, with its profile and the metadata. */
const encodedBytes = (decoded: number, icc = 0) => Math.ceil(decoded * 1.02) + icc + 10_000;

export interface PictureNeeds {
  /** Bytes of the decoded pictures that it came with. */
  input: number;
  /** Bytes until they have been decoded and checked: the input, and working memory beyond the lanes'. */
  check: number;
  /** Bytes until it has been answered: the input, every result decoded and encoded, and that working memory. */
  total: number;
}

/** What a request takes that fills the hole of a picture. `mask`: absent where the picture's transparent pixels are the hole. */
export function inpaintNeeds(
  image: Header,
  mask: Header | undefined,
  { numImages, format }: { numImages: number; format: OutputFormat },
): PictureNeeds {
  const pixels = pixelsOf(image);
  const decoded = decodedBytes(image);
  const input = decoded + (mask ? pixelsOf(mask) : pixels);
  const uncertainty = numImages > 1 ? pixels + encodedBytes(pixels) : 0;
  const results = numImages * (decoded + encodedBytes(decoded, image.icc?.length)) + uncertainty;
  const checking = [decodeWork(image), mask ? maskWork(mask) : 0, pixels * WORK];
  return {
    input,
    check: input + beyondLanes(...checking),
    total: input + results + beyondLanes(...checking, encodeWork(pixels, format)),
  };
}

/** What a request takes that generates pictures from noise. */
export function sampleNeeds(pixels: number, numImages: number, format: OutputFormat): PictureNeeds {
  const results = numImages * (pixels * 3 + encodedBytes(pixels * 3));
  return { input: 0, check: 0, total: results + beyondLanes(encodeWork(pixels, format)) };
}

/** What it takes to decode a picture and look at it. */
export function decodeNeeds(image: Header): number {
  return decodedBytes(image) + beyondLanes(decodeWork(image), pixelsOf(image) * WORK);
}

/** A mask is decoded as a picture first. */
export const maskWork = (mask: Header): number => decodeWork(mask) + decodedBytes(mask);

/** The part of the largest task's working memory that exceeds what the lanes have: the request itself holds it. */
const beyondLanes = (...work: number[]) => Math.max(0, Math.max(...work) - pictureBudget.workable);

/**
 * Checks that a request can ever have the memory that it needs.
 *
 * @param what the work, as the subject of "would take ... of memory"
 * @throws PictureError 'too-large'
 */
export function assertHoldable(bytes: number, field: string, what: string): void {
  const { holdable } = pictureBudget;
  if (bytes <= holdable) return;
  const megabytes = (count: number) => Math.ceil(count / 1e6);
  const message = `${what} would take ${megabytes(bytes)} MB of memory; a request may take ${megabytes(holdable)} MB`;
  throw new PictureError(field, 'too-large', message);
}

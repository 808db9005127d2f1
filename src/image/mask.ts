import { clip, wholeBox } from './box.ts';
import { type Box, type Mask, type Picture, PictureError } from './picture.ts';

/** Width in pixels of the soft edge of a mask: beyond it, darker pixels are known, and weights do not count. */
export const SOFT_RIM = 64;

/**
 * Checks that picture and mask have the same size.
 *
 * @throws PictureError 'mismatch', field 'mask'
 */
export function assertSameSize(picture: Picture, mask: Mask): void {
  if (picture.width === mask.width && picture.height === mask.height) return;
  const sizes = `the mask is ${mask.width} x ${mask.height} pixels, the image ${picture.width} x ${picture.height}`;
  throw new PictureError(
    'mask',
    'mismatch',
    `${sizes}; they must have the same size after EXIF orientation is applied`,
  );
}

/**
 * Bounding box of the hole, and its share of the picture's pixels, above 0 and up to 1.
 *
 * @throws PictureError 'empty-mask', field 'mask', if there is no hole
 */
export function measureHole(mask: Mask): { box: Box; fraction: number } {
  const box = boundingBox(mask);
  if (box) return { box, fraction: maskFraction(mask) };
  const why = mask.fromAlpha ? 'no pixel is transparent (alpha below 128)' : howToPaint(mask);
  throw new PictureError('mask', 'empty-mask', `there is no hole to fill: ${why}`);
}

function howToPaint({ transparent }: Mask): string {
  const paint = 'paint it white (128 or more) in the mask';
  return transparent
    ? `${paint}. Transparent pixels of the mask are kept; if they are the hole, as in masks for the OpenAI API, make them white and all others black`
    : paint;
}

/** The smallest box that contains all hole pixels (those inside `within`, if given); undefined if there are none. */
export function boundingBox(mask: Mask, within?: Box): Box | undefined {
  const region = within ? clip(within, mask) : wholeBox(mask);
  if (region === undefined) return undefined;
  let [left, top, right, bottom] = [mask.width, -1, -1, -1];
  for (let y = region.top; y < region.top + region.height; y++) {
    const start = y * mask.width + region.left;
    const { first, last } = ends(mask.data, start, start + region.width);
    if (first < 0) continue;
    if (top < 0) top = y;
    bottom = y;
    left = Math.min(left, region.left + first - start);
    right = Math.max(right, region.left + last - start);
  }
  return top < 0 ? undefined : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** Rows up to this width are searched in a loop: in a thin picture, two calls for each row would take most of the time. */
const NARROW = 32;

/** The first and last hole pixel from `start` to `end` - 1; -1 if there are none. */
function ends(hole: Uint8Array, start: number, end: number): { first: number; last: number } {
  if (end - start > NARROW) {
    const row = hole.subarray(start, end);
    const first = row.indexOf(255);
    return first < 0 ? { first, last: first } : { first: start + first, last: start + row.lastIndexOf(255) };
  }
  let [first, last] = [-1, -1];
  for (let p = start; p < end; p++) {
    if (hole[p] === 0) continue;
    if (first < 0) first = p;
    last = p;
  }
  return { first, last };
}

/** Share of the pixels that belong to the hole, 0..1. */
export function maskFraction(mask: Mask): number {
  let count = 0;
  const { data } = mask;
  for (let p = 0; p < data.length; p++) if (data[p] !== 0) count++; // an iterator takes several times as long
  return count / data.length;
}

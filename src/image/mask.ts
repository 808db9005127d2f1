import { decodePicture } from './decode.ts';
import { distanceToKnown } from './distance.ts';
import type { Limits, PictureHeader } from './header.ts';
import { type Box, type Mask, type Picture, PictureError, type Size } from './picture.ts';

/** The lowest luminance of a pixel of the hole itself, of its soft edge, and of a pixel that is filled completely. */
const HOLE = 128;
const SOFT = 16;
const FULL = 240;
/** Width in pixels of the soft edge: beyond it, darker pixels are known, and weights do not count. */
export const SOFT_RIM = 64;

/**
 * What says where the hole is in the file of a mask.
 *
 * - luminance: pixels of at least 128 of 255, after transparent pixels are blended onto black, and their soft edge: darker
 *   pixels, down to 16, that are connected to them within 64 px. The luminance of the edge is the weight of the fill.
 * - alpha: pixels with an alpha below 128, whatever their colour; without soft edge.
 * - colour: pixels with a luma (Rec. 601) above 127, whatever their alpha; without soft edge.
 */
export type MaskReading = 'luminance' | 'alpha' | 'colour';

/**
 * Decodes a mask from any format that decodePicture supports. Values are plain numbers: profiles are ignored. EXIF
 * orientation is applied.
 *
 * @throws PictureError see decodePicture; 'empty-mask' where alpha is to be read and there is none
 */
export async function decodeMask(
  bytes: Buffer,
  field: string,
  limits: Limits,
  header?: PictureHeader,
  reading: MaskReading = 'luminance',
): Promise<Mask> {
  const picture = await decodePicture(bytes, field, limits, header);
  switch (reading) {
    case 'luminance':
      return maskFromLuminance(picture);
    case 'colour':
      return maskFromColour(picture);
    case 'alpha':
      if (picture.channels === 4) return maskFromAlpha(picture);
      throw new PictureError(
        field,
        'empty-mask',
        `${field} has no alpha channel: the hole is where it is transparent, and colours do not count`,
      );
  }
}

function maskFromColour({ width, height, channels, data }: Picture): Mask {
  const hole = new Uint8Array(width * height);
  for (let p = 0, at = 0; p < hole.length; p++, at += channels) {
    const luma = Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]);
    if (luma > 127) hole[p] = 255;
  }
  return { width, height, data: hole };
}

function maskFromLuminance({ width, height, channels, data }: Picture): Mask {
  const values = new Uint8Array(width * height);
  let transparent = false;
  for (let p = 0, at = 0; p < values.length; p++, at += channels) {
    // Rec. 709 weights, as integers that add up to 256, so that grey 128 has a luminance of exactly 128.
    const luminance = (54 * data[at] + 183 * data[at + 1] + 19 * data[at + 2]) / 256;
    const alpha = channels === 4 ? data[at + 3] : 255;
    values[p] = Math.floor((luminance * alpha) / 255);
    if (alpha < 128) transparent = true;
  }
  const mask = withSoftEdge(values, width, height);
  return transparent ? { ...mask, transparent } : mask;
}

/** The mask of these luminances. Dark pixels that are not connected to the hole, such as those of compression, are known. */
function withSoftEdge(values: Uint8Array, width: number, height: number): Mask {
  const data = new Uint8Array(values.length);
  const outline: number[] = [];
  let isSoft = false;
  for (let p = 0; p < values.length; p++) {
    if (values[p] < HOLE) continue;
    data[p] = 255;
    if (values[p] < FULL) isSoft = true;
    if (touchesSoft(values, p, width)) outline.push(p);
  }
  for (let layer = 0, edge = outline; layer < SOFT_RIM && edge.length > 0; layer++) {
    const next: number[] = [];
    for (const p of edge) {
      const x = p % width;
      for (const q of [x > 0 ? p - 1 : p, x < width - 1 ? p + 1 : p, p - width, p + width]) {
        if (q < 0 || q >= values.length || data[q] !== 0 || values[q] < SOFT) continue;
        data[q] = 255;
        isSoft = true;
        next.push(q);
      }
    }
    edge = next;
  }
  if (!isSoft) return { width, height, data };
  const weights = values.map((value, p) => (data[p] === 0 ? 0 : value >= FULL ? 255 : value));
  return { width, height, data, weights };
}

function touchesSoft(values: Uint8Array, p: number, width: number): boolean {
  const isSoft = (value: number | undefined) => value !== undefined && value >= SOFT && value < HOLE;
  return (
    isSoft(values[p - 1]) || isSoft(values[p + 1]) || isSoft(values[p - width]) || isSoft(values[p + width])
  );
}

/**
 * The mask with its hole grown by `pixels` in every direction, or shrunk where `pixels` is negative. Its edge becomes hard.
 *
 * @throws PictureError 'empty-mask', field 'mask_grow', if nothing is left of the hole
 */
export function growMask(mask: Mask, pixels: number): Mask {
  const { width, height } = mask;
  const hole = boundingBox(mask);
  const data = new Uint8Array(mask.data.length);
  if (!hole) return { width, height, data };
  const margin = Math.max(1, pixels + 1);
  const around = {
    left: hole.left - margin,
    top: hole.top - margin,
    width: hole.width + 2 * margin,
    height: hole.height + 2 * margin,
  };
  const area = clip(around, mask) as Box;
  const inside = new Uint8Array(area.width * area.height);
  for (let y = 0; y < area.height; y++) {
    const from = (area.top + y) * width + area.left;
    inside.set(mask.data.subarray(from, from + area.width), y * area.width);
  }
  // Growing: the distance of a known pixel from the hole; shrinking: of a hole pixel from known ones.
  const measured = pixels > 0 ? inside.map((value) => 255 - value) : inside;
  const distance = distanceToKnown(measured, area.width, area.height);
  let left = 0;
  for (let p = 0; p < inside.length; p++) {
    if (!(pixels > 0 ? distance[p] <= pixels : distance[p] > -pixels)) continue;
    data[(area.top + Math.floor(p / area.width)) * width + area.left + (p % area.width)] = 255;
    left++;
  }
  if (left > 0) return { width, height, data };
  throw new PictureError(
    'mask_grow',
    'empty-mask',
    `nothing is left of the hole when it shrinks by ${-pixels} pixels`,
  );
}

/** A mask whose hole is the transparent part of the picture: alpha below 128. It is empty for a picture without alpha. */
export function maskFromAlpha(picture: Picture): Mask {
  const { width, height, channels, data } = picture;
  const hole = new Uint8Array(width * height);
  if (channels === 4) {
    for (let p = 0, at = 3; p < hole.length; p++, at += 4) if (data[at] < 128) hole[p] = 255;
  }
  return { width, height, data: hole, fromAlpha: true };
}

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
  const region = within ? clip(within, mask) : { left: 0, top: 0, width: mask.width, height: mask.height };
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

/** The part of a box that lies inside a picture of the given size; undefined if they do not overlap. */
export function clip(box: Box, size: Size): Box | undefined {
  const left = Math.max(0, box.left);
  const top = Math.max(0, box.top);
  const width = Math.min(size.width, box.left + box.width) - left;
  const height = Math.min(size.height, box.top + box.height) - top;
  return width > 0 && height > 0 ? { left, top, width, height } : undefined;
}

/** Share of the pixels that belong to the hole, 0..1. */
export function maskFraction(mask: Mask): number {
  let count = 0;
  const { data } = mask;
  for (let p = 0; p < data.length; p++) if (data[p] !== 0) count++; // an iterator takes several times as long
  return count / data.length;
}

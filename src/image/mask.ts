import { decodePicture, type Limits } from './decode.ts';
import { type Box, type Mask, type Picture, PictureError } from './picture.ts';

/**
 * Reads a mask from any format decodePicture reads: the hole is where luminance is at least 128, over black where
 * the mask is transparent. EXIF orientation is applied, as to the picture.
 *
 * @throws PictureError as decodePicture does
 */
export async function decodeMask(bytes: Buffer, field: string, limits: Limits): Promise<Mask> {
  const { width, height, channels, data } = await decodePicture(bytes, field, limits);
  const hole = new Uint8Array(width * height);
  for (let p = 0, at = 0; p < hole.length; p++, at += channels) {
    // Rec. 709 weights in 256ths: they add up to 256, so that a grey of 128 is exactly 128.
    const luminance = (54 * data[at] + 183 * data[at + 1] + 19 * data[at + 2]) / 256;
    const alpha = channels === 4 ? data[at + 3] : 255;
    if (luminance * alpha >= 128 * 255) hole[p] = 255;
  }
  return { width, height, data: hole };
}

/** The hole is where the picture is transparent: alpha below 128. A picture without alpha has no hole. */
export function maskFromAlpha(picture: Picture): Mask {
  const { width, height, channels, data } = picture;
  const hole = new Uint8Array(width * height);
  if (channels === 4) {
    for (let p = 0, at = 3; p < hole.length; p++, at += 4) if (data[at] < 128) hole[p] = 255;
  }
  return { width, height, data: hole };
}

/** @throws PictureError 'mismatch', which names both sizes */
export function assertSameSize(picture: Picture, mask: Mask): void {
  if (picture.width === mask.width && picture.height === mask.height) return;
  const sizes = `the mask is ${mask.width} x ${mask.height} pixels, the image ${picture.width} x ${picture.height}`;
  throw new PictureError('mask', 'mismatch', `${sizes}; they must be the same (EXIF orientation is applied)`);
}

/** Where the hole lies, and its share of the picture's pixels, 0..1. Throws PictureError 'empty-mask' without a hole. */
export function measureHole(mask: Mask): { box: Box; fraction: number } {
  const box = boundingBox(mask);
  if (box) return { box, fraction: maskFraction(mask) };
  throw new PictureError(
    'mask',
    'empty-mask',
    'there is no hole to fill: paint it white (128 or more) in the mask, or leave the mask out and make it transparent in the image',
  );
}

/** The smallest box with every hole pixel of the mask, or of its part inside `within`; undefined without any. */
export function boundingBox(mask: Mask, within?: Box): Box | undefined {
  const region = within ? clip(within, mask) : { left: 0, top: 0, width: mask.width, height: mask.height };
  if (region === undefined) return undefined;
  let [left, top, right, bottom] = [mask.width, -1, -1, -1];
  for (let y = region.top; y < region.top + region.height; y++) {
    const start = y * mask.width + region.left;
    const row = mask.data.subarray(start, start + region.width);
    const first = row.indexOf(255);
    if (first < 0) continue;
    if (top < 0) top = y;
    bottom = y;
    left = Math.min(left, region.left + first);
    right = Math.max(right, region.left + row.lastIndexOf(255));
  }
  return top < 0 ? undefined : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** The part of a box inside a picture of the given size; undefined where they do not meet. */
export function clip(box: Box, size: { width: number; height: number }): Box | undefined {
  const left = Math.max(0, box.left);
  const top = Math.max(0, box.top);
  const width = Math.min(size.width, box.left + box.width) - left;
  const height = Math.min(size.height, box.top + box.height) - top;
  return width > 0 && height > 0 ? { left, top, width, height } : undefined;
}

/** Share of the pixels in the hole, 0..1. */
export function maskFraction(mask: Mask): number {
  let count = 0;
  for (const value of mask.data) if (value !== 0) count++;
  return count / mask.data.length;
}

import { decodePicture } from './decode.ts';
import type { Limits, PictureHeader } from './header.ts';
import { SOFT_RIM } from './mask.ts';
import { type Mask, type Picture, PictureError } from './picture.ts';

/** The lowest luminance of a pixel of the hole itself, of its soft edge, and of a pixel that is filled completely. */
const HOLE = 128;
const SOFT = 16;
const FULL = 240;

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

/** A mask whose hole is the transparent part of the picture: alpha below 128. It is empty for a picture without alpha. */
export function maskFromAlpha(picture: Picture): Mask {
  const { width, height, channels, data } = picture;
  const hole = new Uint8Array(width * height);
  if (channels === 4) {
    for (let p = 0, at = 3; p < hole.length; p++, at += 4) if (data[at] < 128) hole[p] = 255;
  }
  return { width, height, data: hole, fromAlpha: true };
}

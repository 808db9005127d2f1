import { clip, grown } from './box.ts';
import { distanceToKnown } from './distance.ts';
import { smoothFill } from './fill.ts';
import { boundingBox, SOFT_RIM } from './mask.ts';
import type { Box, Mask, Picture, Size } from './picture.ts';
import { tensorToPicture } from './region.ts';
import { resizeRgb } from './resize.ts';

/** What fills the hole inside a box of the picture. */
export interface Patch {
  /** Of any size: it is resized to the box. Its alpha is ignored. */
  filled: Picture;
  box: Box;
}

/** A patch as the networks leave it, not yet a picture. */
export interface Fill extends Size {
  /** [3, height, width] in -1..1 */
  x0: Float32Array;
  /** The part of it that lies in the picture; all of it by default. */
  part?: Box;
  /** The box of the picture that the part fills. */
  box: Box;
}

export const patchOf = ({ x0, width, height, part, box }: Fill): Patch => ({
  filled: tensorToPicture(x0, { width, height }, part),
  box,
});

export interface CompositeOptions {
  /** Width in pixels, 0 or more, over which the fill fades in from the hole's edge inwards. */
  maskBlur: number;
  /** Whether filled pixels keep the picture's alpha; opaque otherwise. */
  keepAlpha?: boolean;
}

/**
 * Returns a copy of the picture with its hole filled: the pixels of each patch replace those of the hole inside its box.
 * Filled pixels become opaque, unless they keep their alpha. All other bytes, alpha included, stay the same. Boxes may overlap outside of the hole.
 *
 * With maskBlur or a soft mask, the fill is blended at the hole's edge with a smooth extension of the surrounding pixels. Known
 * pixels do not change, and the old content of the hole does not show through.
 *
 * In a grey picture the fill becomes grey. In a 16-bit picture the fill has 8 bits of precision.
 *
 * Apart from the copies, the cost is proportional to the area of the box.
 */
export async function composite(
  picture: Picture,
  mask: Mask,
  patches: readonly Patch[],
  { maskBlur, keepAlpha = false }: CompositeOptions,
): Promise<Picture> {
  const result: Picture = { ...picture, data: new Uint8Array(picture.data) };
  if (picture.data16) result.data16 = new Uint16Array(picture.data16);
  for (const { filled, box } of patches) {
    const hole = boundingBox(mask, box);
    if (hole === undefined) continue;
    const part = { ...hole, left: hole.left - box.left, top: hole.top - box.top };
    const patch = await resizeRgb(withoutAlpha(filled), filled, box, part);
    paste(result, mask, patch, hole, keepAlpha);
    if (maskBlur > 0 || mask.weights) feather(picture, mask, result, hole, maskBlur);
    if (picture.grey) makeGrey(result, mask, hole);
    if (result.data16) writeHole16(result.data16, result, mask, hole, keepAlpha);
  }
  return result;
}

/** Replaces the filled colours of a grey picture by their luma (Rec. 601, as in a grey JPEG). */
function makeGrey({ channels, data }: Picture, mask: Mask, hole: Box): void {
  forEachHolePixel(mask, hole, (p) => {
    const at = p * channels;
    data.fill(Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]), at, at + 3);
  });
}

/** Writes the hole of the 8-bit result into 16-bit numbers, with keepAlpha its colours alone. 255 becomes 65,535. */
function writeHole16(
  numbers: Uint16Array,
  { channels, data }: Picture,
  mask: Mask,
  hole: Box,
  keepAlpha: boolean,
): void {
  const written = keepAlpha ? 3 : channels;
  forEachHolePixel(mask, hole, (p) => {
    for (let i = p * channels; i < p * channels + written; i++) numbers[i] = data[i] * 257;
  });
}

function forEachHolePixel(mask: Mask, { left, top, width, height }: Box, visit: (pixel: number) => void) {
  for (let y = top; y < top + height; y++) {
    for (let p = y * mask.width + left; p < y * mask.width + left + width; p++) {
      if (mask.data[p] !== 0) visit(p);
    }
  }
}

function withoutAlpha({ channels, data, width, height }: Picture): Uint8Array {
  if (channels === 3) return data;
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = data[from];
    rgb[to + 1] = data[from + 1];
    rgb[to + 2] = data[from + 2];
  }
  return rgb;
}

/** `patch`: the fill of the hole's bounding box, three bytes a pixel. */
function paste(result: Picture, mask: Mask, patch: Uint8Array, hole: Box, keepAlpha: boolean): void {
  const { width, channels, data } = result;
  for (let y = hole.top; y < hole.top + hole.height; y++) {
    for (let x = hole.left; x < hole.left + hole.width; x++) {
      if (mask.data[y * width + x] === 0) continue;
      const from = ((y - hole.top) * hole.width + (x - hole.left)) * 3;
      const to = (y * width + x) * channels;
      data[to] = patch[from];
      data[to + 1] = patch[from + 1];
      data[to + 2] = patch[from + 2];
      if (channels === 4 && !keepAlpha) data[to + 3] = 255;
    }
  }
}

/** The weight of the fill at pixel `p`, at `distance` pixels from the nearest known one: 0..1. */
function weightAt({ weights }: Mask, p: number, distance: number, blur: number): number {
  const faded = distance / (blur + 1);
  if (!weights) return faded;
  return Math.min(faded, Math.max(weights[p] / 255, distance / SOFT_RIM));
}

/**
 * Blends the extended surroundings into the pasted pixels, with a weight that falls to 0 about `blur` pixels inside, and
 * with the weights of a soft mask.
 */
function feather(picture: Picture, mask: Mask, result: Picture, hole: Box, blur: number): void {
  // smoothFill needs surrounding pixels, and distanceToKnown at least one pixel around the hole.
  const margin = 8;
  const region = clip(grown(hole, margin), picture);
  if (region === undefined) return;
  const { rgb, inHole } = extract(picture, mask, region);
  smoothFill(rgb, inHole, region.width, region.height);
  const distance = distanceToKnown(inHole, region.width, region.height);
  for (let y = hole.top; y < hole.top + hole.height; y++) {
    for (let x = hole.left; x < hole.left + hole.width; x++) {
      const p = (y - region.top) * region.width + (x - region.left);
      if (inHole[p] === 0) continue;
      const weight = weightAt(mask, y * result.width + x, distance[p], blur);
      if (weight >= 1) continue;
      const to = (y * result.width + x) * result.channels;
      for (let c = 0; c < 3; c++) {
        result.data[to + c] = Math.round(weight * result.data[to + c] + (1 - weight) * rgb[p * 3 + c]);
      }
    }
  }
}

function extract(picture: Picture, mask: Mask, region: Box): { rgb: Uint8Array; inHole: Uint8Array } {
  const rgb = new Uint8Array(region.width * region.height * 3);
  const inHole = new Uint8Array(region.width * region.height);
  for (let y = 0, p = 0; y < region.height; y++) {
    let from = (y + region.top) * picture.width + region.left;
    for (let x = 0; x < region.width; x++, p++, from++) {
      inHole[p] = mask.data[from];
      for (let c = 0; c < 3; c++) rgb[p * 3 + c] = picture.data[from * picture.channels + c];
    }
  }
  return { rgb, inHole };
}

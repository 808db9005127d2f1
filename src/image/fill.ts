import { clip, grown } from './box.ts';
import { boundingBox } from './mask.ts';
import type { Box } from './picture.ts';

/** A level of the pyramid: averages over 2^k x 2^k pixels of red, green, blue (0..255), and their known share (0..1). */
interface Level {
  width: number;
  height: number;
  data: Float32Array;
}

/** Width in pixels of the surroundings that the fill is computed from; pixels further away have little influence. */
const MARGIN = 8;
const MID_GREY = 128;

/**
 * Replaces the pixels of the hole, in place, by a smooth extension of the known pixels (push-pull, Gortler et al.
 * 1996). Pull: known colours are averaged into a pyramid of ever coarser levels. Push: unknown colours of a level are
 * interpolated from the next coarser level. The old content of the hole has no influence. If no pixel is known, the
 * hole becomes mid-grey.
 *
 * @param rgb width * height * 3 bytes
 * @param hole width * height bytes, 255 in the hole, 0 where known
 */
export function smoothFill(rgb: Uint8Array, hole: Uint8Array, width: number, height: number): void {
  const bounds = boundingBox({ width, height, data: hole });
  if (bounds === undefined) return;
  const area = clip(grown(bounds, MARGIN), { width, height }) as Box;
  const { left, top } = area;

  // Pull. The finest level stays in bytes: as floats it would take three quarters of all the memory.
  const levels = [halveBytes(rgb, hole, width, area)];
  for (let level = levels[0]; level.width > 1 || level.height > 1; levels.push(level)) level = halve(level);

  // Push.
  const above = levels[levels.length - 1];
  if (above.data[3] === 0) above.data.fill(MID_GREY);
  for (let k = levels.length - 2; k >= 0; k--) complete(levels[k], levels[k + 1]);
  for (let y = top; y < top + area.height; y++) {
    for (let x = left; x < left + area.width; x++) {
      if (hole[y * width + x] === 0) continue;
      const at = (y * width + x) * 3;
      for (let c = 0; c < 3; c++) rgb[at + c] = Math.round(interpolate(levels[0], x - left, y - top, c));
    }
  }
}

const emptyLevel = (width: number, height: number): Level => ({
  width,
  height,
  data: new Float32Array(width * height * 4),
});

function halveBytes(
  rgb: Uint8Array,
  hole: Uint8Array,
  stride: number,
  { left, top, width, height }: Box,
): Level {
  const half = emptyLevel((width + 1) >> 1, (height + 1) >> 1);
  for (let y = top; y < top + height; y++) {
    for (let x = left; x < left + width; x++) {
      const p = y * stride + x;
      if (hole[p] === 0) add(half, x - left, y - top, rgb[p * 3], rgb[p * 3 + 1], rgb[p * 3 + 2], 1);
    }
  }
  return normalised(half);
}

function halve(fine: Level): Level {
  const half = emptyLevel((fine.width + 1) >> 1, (fine.height + 1) >> 1);
  const { data } = fine;
  for (let y = 0, at = 0; y < fine.height; y++) {
    for (let x = 0; x < fine.width; x++, at += 4) {
      add(half, x, y, data[at], data[at + 1], data[at + 2], data[at + 3]);
    }
  }
  return normalised(half);
}

/** Adds pixel (x, y) of the finer level to the sums of the coarser pixel that covers it. */
function add(half: Level, x: number, y: number, r: number, g: number, b: number, weight: number): void {
  const at = ((y >> 1) * half.width + (x >> 1)) * 4;
  half.data[at] += r * weight;
  half.data[at + 1] += g * weight;
  half.data[at + 2] += b * weight;
  half.data[at + 3] += weight;
}

/** Turns the sums over up to four pixels into their average colour and known share, in place. */
function normalised(level: Level): Level {
  const { data } = level;
  for (let at = 0; at < data.length; at += 4) {
    const weight = data[at + 3];
    if (weight === 0) continue;
    data[at] /= weight;
    data[at + 1] /= weight;
    data[at + 2] /= weight;
    data[at + 3] = weight / 4;
  }
  return level;
}

/** Blends each colour with the next coarser level, in place, with the unknown share as weight. */
function complete(level: Level, above: Level): void {
  const { data } = level;
  for (let y = 0, at = 0; y < level.height; y++) {
    for (let x = 0; x < level.width; x++, at += 4) {
      const known = data[at + 3];
      if (known === 1) continue;
      for (let c = 0; c < 3; c++) {
        data[at + c] = known * data[at + c] + (1 - known) * interpolate(above, x, y, c);
      }
    }
  }
}

/**
 * Bilinear interpolation at pixel (x, y) of the next finer level. On each axis the covering pixel has weight 3/4, and its
 * neighbour nearest to (x, y) has 1/4.
 */
function interpolate(level: Level, x: number, y: number, c: number): number {
  const { width, height, data } = level;
  const x0 = x >> 1;
  const y0 = y >> 1;
  const x1 = Math.min(width - 1, Math.max(0, x0 + ((x & 1) * 2 - 1)));
  const y1 = Math.min(height - 1, Math.max(0, y0 + ((y & 1) * 2 - 1)));
  const near = 3 * data[(y0 * width + x0) * 4 + c] + data[(y0 * width + x1) * 4 + c];
  const far = 3 * data[(y1 * width + x0) * 4 + c] + data[(y1 * width + x1) * 4 + c];
  return (3 * near + far) / 16;
}

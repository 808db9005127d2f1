import type { Mask, Picture } from '../picture.ts';
import { mirrored } from '../region.ts';
import type { Level } from './plan.ts';
import { inPicture, type LevelBox, toPicture } from './windows.ts';

/** The known pixels of a level's canvas. */
export interface LevelPixels {
  /** [3, height, width] in -1..1; 0 in the hole. In shared memory. */
  x0: Float32Array;
  /** [height, width], 1 in the hole, 0 where the picture is known. In shared memory. */
  mask: Float32Array;
  /** Pixels of the mask that are 1. */
  holePixels: number;
}

/**
 * The picture and its hole at the resolution of a level. A pixel is known only where all of the picture's pixels that it
 * covers are, and is their mean, as in training: so nothing of the hole's old content is in it. Beyond the picture's edges,
 * the level is mirrored: the picture itself would be mirrored into 4^level times as many pixels.
 */
export function levelPixels(
  picture: Picture,
  hole: Mask,
  { canvas, level }: Pick<Level, 'canvas' | 'level'>,
): LevelPixels {
  const inside = inPicture(canvas, level, picture);
  const found = means(picture, hole, inside, level);
  const mask = padded(found.mask, inside, canvas);
  let holePixels = 0;
  for (let p = 0; p < mask.length; p++) holePixels += mask[p];
  return { x0: padded(found.x0, inside, canvas), mask, holePixels };
}

/** Means over 2^level x 2^level pixels of the picture, fewer at its right and bottom edges. */
function means(
  picture: Picture,
  hole: Mask,
  inside: LevelBox,
  level: number,
): Pick<LevelPixels, 'x0' | 'mask'> {
  const plane = inside.width * inside.height;
  const x0 = shared(3 * plane);
  const mask = shared(plane);
  const { left, top, width, height } = toPicture(inside, level);
  const right = Math.min(left + width, picture.width);
  const bottom = Math.min(top + height, picture.height);
  for (let y = top; y < bottom; y++) {
    const row = ((y - top) >> level) * inside.width;
    for (let x = left; x < right; x++) {
      const at = row + ((x - left) >> level);
      if (hole.data[y * picture.width + x] !== 0) mask[at] = 1;
      if (mask[at] === 1) continue;
      const from = (y * picture.width + x) * picture.channels;
      x0[at] += picture.data[from];
      x0[plane + at] += picture.data[from + 1];
      x0[2 * plane + at] += picture.data[from + 2];
    }
  }
  const unit = 2 ** level;
  for (let y = 0, at = 0; y < inside.height; y++) {
    const rows = Math.min(unit, bottom - top - y * unit);
    for (let x = 0; x < inside.width; x++, at++) {
      const count = rows * Math.min(unit, right - left - x * unit);
      for (let c = 0; c < 3; c++) {
        const value = c * plane + at;
        x0[value] = mask[at] === 1 ? 0 : x0[value] / count / 127.5 - 1;
      }
    }
  }
  return { x0, mask };
}

/** [C, height, width] of a box, mirrored at its right and bottom edges up to the size of the canvas. */
function padded(values: Float32Array, inside: LevelBox, canvas: LevelBox): Float32Array {
  if (inside.width === canvas.width && inside.height === canvas.height) return values;
  const columns = mirrored(0, canvas.width, inside.width);
  const rows = mirrored(0, canvas.height, inside.height);
  const area = inside.width * inside.height;
  const result = shared((values.length / area) * columns.length * rows.length);
  let to = 0;
  for (let plane = 0; plane < values.length; plane += area) {
    for (const y of rows) for (const x of columns) result[to++] = values[plane + y * inside.width + x];
  }
  return result;
}

/** Zeros in shared memory: the candidates of a request use a level in several threads. */
const shared = (length: number) =>
  new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT));

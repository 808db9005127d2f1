import type { Mask, Picture } from '../picture.ts';
import { maskToTensor, mirrored, pictureToTensor } from '../region.ts';
import type { Level } from './plan.ts';
import { inPicture, type LevelBox, toPicture } from './windows.ts';

/** The known pixels of a level's canvas. */
export interface LevelPixels {
  /** [3, height, width] in -1..1; in the hole, a smooth extension of its surroundings. In shared memory. */
  x0: Float32Array;
  /** [height, width], 1 in the hole, 0 where the picture is known. In shared memory. */
  mask: Float32Array;
}

/**
 * The picture and its hole at the resolution of a level. A pixel is known only where all of the pixels it covers are. Beyond
 * the picture's edges, the level is mirrored: the picture itself would be mirrored into 4^level times as many pixels.
 */
export async function levelPixels(
  picture: Picture,
  hole: Mask,
  { canvas, level }: Level,
): Promise<LevelPixels> {
  const inside = inPicture(canvas, level, picture);
  const box = toPicture(inside, level);
  const x0 = await pictureToTensor(picture, box, inside, hole);
  const mask = maskToTensor(hole, box, inside);
  return { x0: shared(padded(x0, inside, canvas)), mask: shared(padded(mask, inside, canvas)) };
}

/** [C, height, width] of a box, mirrored at its right and bottom edges up to the size of the canvas. */
function padded(values: Float32Array, inside: LevelBox, canvas: LevelBox): Float32Array {
  if (inside.width === canvas.width && inside.height === canvas.height) return values;
  const columns = mirrored(0, canvas.width, inside.width);
  const rows = mirrored(0, canvas.height, inside.height);
  const area = inside.width * inside.height;
  const result = new Float32Array((values.length / area) * columns.length * rows.length);
  let to = 0;
  for (let plane = 0; plane < values.length; plane += area) {
    for (const y of rows) for (const x of columns) result[to++] = values[plane + y * inside.width + x];
  }
  return result;
}

/** A copy in shared memory: the candidates of a request use it in several threads. */
function shared(values: Float32Array): Float32Array {
  const copy = new Float32Array(new SharedArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
}

import type { Mask, Picture } from '../picture.ts';
import { maskToTensor, pictureToTensor } from '../region.ts';
import type { Level } from './plan.ts';
import { toPicture } from './windows.ts';

/** The known pixels of a level's canvas. */
export interface LevelPixels {
  /** [3, height, width] in -1..1; in the hole, a smooth extension of its surroundings. In shared memory. */
  x0: Float32Array;
  /** [height, width], 1 in the hole, 0 where the picture is known. In shared memory. */
  mask: Float32Array;
}

/** The picture and its hole at the resolution of a level. A pixel is known only where all of the pixels it covers are. */
export async function levelPixels(
  picture: Picture,
  hole: Mask,
  { canvas, level }: Level,
): Promise<LevelPixels> {
  const box = toPicture(canvas, level);
  const x0 = await pictureToTensor(picture, box, canvas, hole);
  return { x0: shared(x0), mask: shared(maskToTensor(hole, box, canvas)) };
}

/** A copy in shared memory: the candidates of a request use it in several threads. */
function shared(values: Float32Array): Float32Array {
  const copy = new Float32Array(new SharedArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
}

import type { Box } from '../image/picture.ts';

/** What a picture, or the part of it that is being filled, looks like now. */
export interface Preview {
  /** [3, height, width] in -1..1: the current estimate of x_0; or x_t, which exceeds that range. */
  x0: Float32Array;
  width: number;
  height: number;
  /** Where it lies in the picture (inpainting). It may extend beyond the right and bottom edges. */
  box?: Box;
}

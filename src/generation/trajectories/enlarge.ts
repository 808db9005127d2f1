import type { Box } from '../../image/picture.ts';

/** Cubic kernel weights (a = -0.75, as in PyTorch) of the four pixels around a point a quarter before, or after, a pixel. */
const A = -0.75;
const near = (d: number) => (A + 2) * d ** 3 - (A + 3) * d ** 2 + 1;
const far = (d: number) => A * d ** 3 - 5 * A * d ** 2 + 8 * A * d - 4 * A;
const at = (fraction: number) => [far(1 + fraction), near(fraction), near(1 - fraction), far(2 - fraction)];
/** For an even fine pixel the point lies at 3/4 between two coarse pixels, for an odd one at 1/4. */
const WEIGHTS = [at(0.75), at(0.25)];

/** Pixels of a level of an image pyramid: each covers 2^level x 2^level pixels of the picture. */
export interface Canvas extends Box {
  level: number;
  /** [3, height, width] in -1..1 */
  x0: Float32Array;
}

/**
 * The value at pixel (x, y) of the next finer level, channel c: bicubic interpolation, clipped to -1..1. Pixels beyond the
 * canvas repeat its edge.
 */
export function enlargedAt(
  { left, top, width, height, x0 }: Canvas,
  x: number,
  y: number,
  c: number,
): number {
  const firstX = ((x - 1) >> 1) - 1 - left;
  const firstY = ((y - 1) >> 1) - 1 - top;
  const [across, down] = [WEIGHTS[x & 1], WEIGHTS[y & 1]];
  const plane = c * width * height;
  let sum = 0;
  for (let j = 0; j < 4; j++) {
    const row = plane + Math.min(Math.max(firstY + j, 0), height - 1) * width;
    let line = 0;
    for (let i = 0; i < 4; i++) line += across[i] * x0[row + Math.min(Math.max(firstX + i, 0), width - 1)];
    sum += down[j] * line;
  }
  return Math.min(1, Math.max(-1, sum));
}

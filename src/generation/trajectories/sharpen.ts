import type { Canvas } from './enlarge.ts';

/** The largest amount of the unsharp mask: more makes halos at edges. */
const MAX_AMOUNT = 1.2;
/** With fewer pixels inside the hole, or outside it, their sharpness is not compared. */
const MIN_PIXELS = 16;
/**
 * Added to both mean squares, so that in flat pictures noise does not decide: the mean square of the Laplacian, summed over the
 * channels, that rounding to 8 bits causes, 3 (1 + 1 + 1 + 1 + 16) (2 / 255)^2 / 12.
 */
const FLOOR = 3.1e-4;

/**
 * The amount by which a coarse fill is sharpened: more if it is softer than the known pixels around it, less if it is sharper.
 *
 *   amount = atEqual + log(L(known) / L(fill)), clipped to 0..1.2
 *
 * L is the root mean square of the Laplacian over pixels whose 3 x 3 neighbours are all known, or all in the hole. If there
 * are fewer than 16 of either, as in a thin hole, the amount is `atEqual`, clipped.
 *
 * @param mask [height, width], 1 in the hole
 * @param atEqual the amount for a fill as sharp as the known pixels, 0 or more
 */
export function sharpening({ width, height, x0 }: Canvas, mask: Float32Array, atEqual: number): number {
  const plane = width * height;
  const known = { sum: 0, count: 0 };
  const fill = { sum: 0, count: 0 };
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      const side = sideOf(mask, width, at);
      if (side === undefined) continue;
      const part = side === 1 ? fill : known;
      part.count++;
      for (let p = at; p < 3 * plane; p += plane)
        part.sum += (x0[p - 1] + x0[p + 1] + x0[p - width] + x0[p + width] - 4 * x0[p]) ** 2;
    }
  }
  let softer = 0;
  if (known.count >= MIN_PIXELS && fill.count >= MIN_PIXELS)
    softer = Math.log((known.sum / known.count + FLOOR) / (fill.sum / fill.count + FLOOR)) / 2;
  return Math.min(MAX_AMOUNT, Math.max(0, atEqual + softer));
}

/** The value of the mask at a pixel and its 8 neighbours; undefined if they differ. */
function sideOf(mask: Float32Array, width: number, at: number): number | undefined {
  const side = mask[at];
  for (const row of [at - width, at, at + width])
    if (mask[row - 1] !== side || mask[row] !== side || mask[row + 1] !== side) return undefined;
  return side;
}

/**
 * An unsharp mask: x + amount (x - mean of the 3 x 3 pixels around it), clipped to -1..1. Pixels beyond the canvas repeat its
 * edge. A model's fill is softer than a photograph that was shrunk to the same size, and the refiner keeps its softness.
 */
export function sharpened(canvas: Canvas, amount: number): Canvas {
  const { width, height } = canvas;
  const x0 = new Float32Array(canvas.x0.length);
  for (let c = 0; c < 3; c++) {
    const plane = canvas.x0.subarray(c * width * height, (c + 1) * width * height);
    for (let y = 0; y < height; y++) {
      const rows = [Math.max(y - 1, 0), y, Math.min(y + 1, height - 1)].map((row) => row * width);
      for (let x = 0; x < width; x++) {
        const [before, after] = [Math.max(x - 1, 0), Math.min(x + 1, width - 1)];
        let sum = 0;
        for (const row of rows) sum += plane[row + before] + plane[row + x] + plane[row + after];
        const value = plane[y * width + x];
        const sharp = value + amount * (value - sum / 9);
        x0[(c * height + y) * width + x] = Math.min(1, Math.max(-1, sharp));
      }
    }
  }
  return { ...canvas, x0 };
}

/**
 * Measures how much a picture differs from the training data, by a few statistics of its known pixels. They are cheap
 * enough to compute for every request, and show when the input drifts away from the training distribution.
 */

/** Names of the features in model.json. training/drift.py defines them and computes the same values. */
export const FEATURES = [
  'luma',
  'red_green',
  'green_blue',
  'luma_contrast',
  'red_green_contrast',
  'green_blue_contrast',
  'detail_x',
  'detail_y',
] as const;
export type Features = Record<(typeof FEATURES)[number], number>;
export type Statistics = Record<(typeof FEATURES)[number], { mean: number; std: number }>;

/** Added before each logarithm, so that a picture of one colour has finite features. */
const FLOOR = 1e-3;
/** Minimum share of known pixels; with fewer, the features are not reliable. */
const LEAST_KNOWN = 0.05;

/**
 * Features of the known pixels, or undefined if less than 5 % of the pixels are known.
 *
 * @param x0 [3, R, R] in -1..1
 * @param mask [R, R], 1 in the hole
 */
export function knownFeatures(x0: Float32Array, mask: Float32Array): Features | undefined {
  const pixels = mask.length;
  const side = Math.sqrt(pixels);
  const luma = new Float64Array(pixels);
  const [y, redGreen, greenBlue] = [new Moments(), new Moments(), new Moments()];
  const [right, down] = [new Moments(), new Moments()];
  for (let p = 0; p < pixels; p++) {
    if (mask[p] === 1) continue;
    const [r, g, b] = [x0[p], x0[pixels + p], x0[2 * pixels + p]];
    luma[p] = 0.299 * r + 0.587 * g + 0.114 * b;
    y.add(luma[p]);
    redGreen.add(r - g);
    greenBlue.add(g - b);
    if (p % side > 0 && mask[p - 1] === 0) right.add(Math.abs(luma[p] - luma[p - 1]));
    if (p >= side && mask[p - side] === 0) down.add(Math.abs(luma[p] - luma[p - side]));
  }
  if (y.count < LEAST_KNOWN * pixels || right.count === 0 || down.count === 0) return undefined;
  return {
    luma: y.mean,
    red_green: redGreen.mean,
    green_blue: greenBlue.mean,
    luma_contrast: Math.log(y.std + FLOOR),
    red_green_contrast: Math.log(redGreen.std + FLOOR),
    green_blue_contrast: Math.log(greenBlue.std + FLOOR),
    detail_x: Math.log(right.mean + FLOOR),
    detail_y: Math.log(down.mean + FLOOR),
  };
}

/** Root mean square of the standardised features, 0 or more: about 1 for pictures like those of the training set. */
export function distance(features: Features, statistics: Statistics): number {
  const squares = FEATURES.map((name) => {
    const { mean, std } = statistics[name];
    return ((features[name] - mean) / std) ** 2;
  });
  return Math.sqrt(squares.reduce((a, b) => a + b) / squares.length);
}

/** Running mean and population standard deviation (Welford 1962). */
class Moments {
  count = 0;
  mean = 0;
  #squares = 0;

  add(value: number) {
    const off = value - this.mean;
    this.mean += off / ++this.count;
    this.#squares += off * (value - this.mean);
  }

  get std(): number {
    return Math.sqrt(this.#squares / this.count);
  }
}

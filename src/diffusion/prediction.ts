/** What a network was trained to predict: the noise, the velocity (Salimans & Ho 2022), or the clean picture x_0. */
export const PREDICTIONS = ['epsilon', 'v', 'sample'] as const;
export type PredictionType = (typeof PREDICTIONS)[number];

/**
 * The clean picture x_0 that a prediction at x_t implies. With `clip`, it is limited to -1..1, the range of pixels.
 *
 * - epsilon: x_0 = (x_t - sqrt(1 - abar) epsilon) / sqrt(abar)
 * - v:       x_0 = sqrt(abar) x_t - sqrt(1 - abar) v
 * - sample:  x_0 = the prediction itself
 *
 * @param abar abar_t, in (0, 1)
 * @param x x_t, any layout
 * @param prediction the network's output; its first x.length entries are used
 */
export function predictX0(
  type: PredictionType,
  abar: number,
  x: Float32Array,
  prediction: Float32Array,
  clip = true,
): Float32Array {
  const a = Math.sqrt(abar);
  const b = Math.sqrt(1 - abar);
  const x0 = new Float32Array(x.length);
  // A loop for each type: a choice for every entry would take half of the time.
  switch (type) {
    case 'v':
      for (let i = 0; i < x.length; i++) x0[i] = a * x[i] - b * prediction[i];
      break;
    case 'epsilon':
      for (let i = 0; i < x.length; i++) x0[i] = (x[i] - b * prediction[i]) / a;
      break;
    case 'sample':
      x0.set(prediction.subarray(0, x.length));
  }
  if (clip) for (let i = 0; i < x.length; i++) x0[i] = Math.min(1, Math.max(-1, x0[i]));
  return x0;
}

/** The noise that x_t and x_0 imply, for one entry: epsilon = (x_t - sqrt(abar) x_0) / sqrt(1 - abar). */
export function impliedEpsilon(abar: number, x: number, x0: number): number {
  return (x - Math.sqrt(abar) * x0) / Math.sqrt(1 - abar);
}

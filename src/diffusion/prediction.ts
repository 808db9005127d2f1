/** What a network was trained to predict: the noise, the velocity (Salimans & Ho 2022), or the clean picture. */
export type PredictionType = 'epsilon' | 'v' | 'sample';

/**
 * The clean picture that a prediction at x_t implies, clipped to -1..1 as pixels are:
 *
 * - epsilon: x_0 = (x_t - sqrt(1 - abar) epsilon) / sqrt(abar)
 * - v:       x_0 = sqrt(abar) x_t - sqrt(1 - abar) v
 * - sample:  x_0 itself
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
  for (let i = 0; i < x.length; i++) {
    const p = prediction[i];
    const value = type === 'v' ? a * x[i] - b * p : type === 'epsilon' ? (x[i] - b * p) / a : p;
    x0[i] = clip ? Math.min(1, Math.max(-1, value)) : value;
  }
  return x0;
}

/** The noise that (x_t, x_0) implies: epsilon = (x_t - sqrt(abar) x_0) / sqrt(1 - abar). */
export function impliedEpsilon(abar: number, x: number, x0: number): number {
  return (x - Math.sqrt(abar) * x0) / Math.sqrt(1 - abar);
}

import type { DrawNoise, Levels } from './sampler.ts';

/**
 * Variance of the reverse process (Ho et al. 2020, section 3.2; Nichol & Dhariwal 2021, eq. 15):
 *
 * - fixed_small: the posterior variance, (1 - abar_next) / (1 - abar) beta
 * - fixed_large: beta
 * - learned: exp(v log(beta) + (1 - v) log(posterior)), with v = (v' + 1) / 2 and v' predicted by the network
 */
export const VARIANCES = ['fixed_small', 'fixed_large', 'learned'] as const;
export type Variance = (typeof VARIANCES)[number];

/**
 * Ancestral sampling: draws x_next from q(x_next | x_t, x_0) (Ho et al. 2020, eq. 6 and 7), over any number of timesteps:
 *
 *   mean = sqrt(abar_next) beta / (1 - abar) x_0 + sqrt(alpha) (1 - abar_next) / (1 - abar) x_t
 *   alpha = abar / abar_next, beta = 1 - alpha
 *
 * The last step (abar_next = 1) returns x_0, because its posterior variance is 0.
 *
 * @param learned v', in -1..1, of x's length; required when variance is "learned" (else RangeError)
 */
export function ddpmStep(
  { abar, abarNext }: Levels,
  variance: Variance,
  x: Float32Array,
  x0: Float32Array,
  noise: DrawNoise,
  learned?: Float32Array,
): Float32Array {
  const alpha = abar / abarNext;
  const beta = 1 - alpha;
  const posterior = ((1 - abarNext) / (1 - abar)) * beta;
  const fromX0 = (Math.sqrt(abarNext) * beta) / (1 - abar);
  const fromX = (Math.sqrt(alpha) * (1 - abarNext)) / (1 - abar);
  const next = new Float32Array(x.length);
  if (posterior === 0) {
    for (let i = 0; i < x.length; i++) next[i] = fromX0 * x0[i] + fromX * x[i];
    return next;
  }
  const z = noise();
  if (variance === 'learned') {
    if (learned?.length !== x.length) throw new RangeError('the network has no variance output');
    const low = Math.log(posterior);
    const span = Math.log(beta) - low;
    for (let i = 0; i < x.length; i++) {
      const sigma = Math.exp(0.5 * (low + ((learned[i] + 1) / 2) * span));
      next[i] = fromX0 * x0[i] + fromX * x[i] + sigma * z[i];
    }
    return next;
  }
  const sigma = Math.sqrt(variance === 'fixed_large' ? beta : posterior);
  for (let i = 0; i < x.length; i++) next[i] = fromX0 * x0[i] + fromX * x[i] + sigma * z[i];
  return next;
}

import { impliedEpsilon } from '../prediction.ts';
import type { DrawNoise, Levels } from './sampler.ts';

/**
 * Denoising diffusion implicit models (Song et al. 2021, eq. 12):
 *
 *   x_next = sqrt(abar_next) x_0 + sqrt(1 - abar_next - sigma^2) epsilon + sigma z
 *   sigma  = eta sqrt((1 - abar_next) / (1 - abar)) sqrt(1 - abar / abar_next)
 *
 * eta in 0..1: with 0 the step is deterministic, with 1 sigma^2 is DDPM's posterior variance.
 */
export function ddimStep(
  { abar, abarNext }: Levels,
  eta: number,
  x: Float32Array,
  x0: Float32Array,
  noise: DrawNoise,
): Float32Array {
  const sigma = eta * Math.sqrt(((1 - abarNext) / (1 - abar)) * (1 - abar / abarNext));
  const signal = Math.sqrt(abarNext);
  const direction = Math.sqrt(Math.max(0, 1 - abarNext - sigma ** 2));
  const next = new Float32Array(x.length);
  if (sigma > 0) {
    const z = noise();
    for (let i = 0; i < x.length; i++)
      next[i] = signal * x0[i] + direction * impliedEpsilon(abar, x[i], x0[i]) + sigma * z[i];
  } else {
    for (let i = 0; i < x.length; i++)
      next[i] = signal * x0[i] + direction * impliedEpsilon(abar, x[i], x0[i]);
  }
  return next;
}

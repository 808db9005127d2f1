import type { Schedule } from './schedule.ts';

/**
 * The forward process in one jump: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) epsilon (Ho et al. 2020, eq. 4).
 * x0 in -1..1, epsilon standard normal of the same length, t in 0..T-1.
 */
export function qSample(
  schedule: Schedule,
  x0: Float32Array,
  t: number,
  epsilon: Float32Array,
): Float32Array {
  const signal = Math.sqrt(schedule.abar[t]);
  const noise = Math.sqrt(1 - schedule.abar[t]);
  return x0.map((x, i) => signal * x + noise * epsilon[i]);
}

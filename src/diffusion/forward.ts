import type { Schedule } from './schedule.ts';

/**
 * The forward process from x_0 directly to x_t (Ho et al. 2020, eq. 4):
 * x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) epsilon.
 *
 * @param x0 clean picture in -1..1, any layout
 * @param t 0..T-1
 * @param epsilon standard normal noise of x0's length
 */
export function qSample(
  schedule: Schedule,
  x0: Float32Array,
  t: number,
  epsilon: Float32Array,
): Float32Array {
  const signal = Math.sqrt(schedule.abar[t]);
  const noise = Math.sqrt(1 - schedule.abar[t]);
  const x = new Float32Array(x0.length);
  for (let i = 0; i < x.length; i++) x[i] = signal * x0[i] + noise * epsilon[i];
  return x;
}

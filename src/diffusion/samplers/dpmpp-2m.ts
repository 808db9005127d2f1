import type { Levels } from './sampler.ts';

/**
 * DPM-Solver++(2M), the data-prediction multistep solver (Lu et al. 2022, algorithm 2). With
 * lambda = log(sqrt(abar) / sqrt(1 - abar)), h = lambda_next - lambda and r = h_last / h:
 *
 *   D      = (1 + 1 / 2r) x_0 - 1 / 2r x_0_last
 *   x_next = sigma_next / sigma x_t - sqrt(abar_next) (exp(-h) - 1) D
 *
 * The first step has no x_0_last and is of first order: D = x_0. The last step, to abar_next = 1 where lambda is
 * infinite, returns x_0.
 *
 * @param last abar and x_0 of the previous step; absent in the first
 */
export function dpmpp2mStep(
  { abar, abarNext }: Levels,
  x: Float32Array,
  x0: Float32Array,
  last?: { abar: number; x0: Float32Array },
): Float32Array {
  if (abarNext === 1) return x0.slice();
  const h = lambda(abarNext) - lambda(abar);
  if (h === 0) return x.slice(); // both timesteps are at the schedule's lower bound: x does not change
  const hLast = last ? lambda(abar) - lambda(last.abar) : 0;
  const half = hLast > 0 ? h / (2 * hLast) : 0;
  const keep = Math.sqrt((1 - abarNext) / (1 - abar));
  const add = -Math.sqrt(abarNext) * Math.expm1(-h);
  const next = new Float32Array(x.length);
  if (last && half > 0) {
    const before = last.x0;
    for (let i = 0; i < x.length; i++) next[i] = keep * x[i] + add * ((1 + half) * x0[i] - half * before[i]);
  } else {
    for (let i = 0; i < x.length; i++) next[i] = keep * x[i] + add * x0[i];
  }
  return next;
}

/** Half the logarithm of the signal-to-noise ratio. */
function lambda(abar: number): number {
  return 0.5 * Math.log(abar / (1 - abar));
}

import type { Schedule } from './schedule.ts';

/** How a sampler's timesteps are spread over 0..T-1. */
export const SPACINGS = ['leading', 'trailing', 'linspace', 'log_snr'] as const;
export type Spacing = (typeof SPACINGS)[number];

/**
 * The `steps` timesteps of 0..T-1 that a sampler visits, noisiest first and strictly decreasing, for i = 0..steps-1
 * (trailing, leading and linspace: Lin et al. 2023, table 2):
 *
 * - trailing: round(T - i T/steps) - 1. Starts at T - 1, where the network was trained on nearly pure noise. The default.
 * - leading: (steps - 1 - i) floor(T/steps). Ends at 0, but starts below T - 1 unless steps = T.
 * - linspace: evenly spaced from `first` to `final`.
 * - log_snr: the timesteps whose log-SNR, log(abar / (1 - abar)), is nearest to values evenly spaced from that of `first` to
 *   that of `final` (as in DPM-Solver, Lu et al. 2022).
 *
 * The estimate of x_0 at the last timestep is the result. It is a mean over all pictures that x_t could stem from: the
 * noisier x_t, the more it is blurred. So trailing, which ends at about T/steps, blurs when there are few steps, and a low
 * `final` does not.
 *
 * With one step, linspace and log_snr visit `first` alone. Where fewer than `steps` timesteps lie from `first` to `final`,
 * they end at first + 1 - steps. A timestep that is nearest to several values is visited once, and then its neighbours.
 *
 * @param first where linspace and log_snr start, T - 1 by default: pure noise. Lower for a picture that starts from an
 *   estimate with noise
 *
 * Throws RangeError unless 1 <= steps <= first + 1, 0 <= final < T and 0 <= first < T.
 */
export function timesteps(
  schedule: Schedule,
  steps: number,
  spacing: Spacing = 'trailing',
  final = 0,
  first = schedule.T - 1,
): number[] {
  const { T } = schedule;
  if (!Number.isInteger(first) || first < 0 || first >= T) {
    throw new RangeError(`the first timestep must be a whole number from 0 to ${T - 1}, not ${first}`);
  }
  if (!Number.isInteger(steps) || steps < 1 || steps > first + 1) {
    throw new RangeError(`steps must be a whole number from 1 to ${first + 1}, not ${steps}`);
  }
  if (!Number.isInteger(final) || final < 0 || final >= T) {
    throw new RangeError(`the final timestep must be a whole number from 0 to ${T - 1}, not ${final}`);
  }
  const last = steps - 1;
  const end = Math.min(final, first + 1 - steps);
  const each = (at: (i: number) => number) => Array.from({ length: steps }, (_, i) => at(i));
  switch (spacing) {
    case 'trailing':
      return each((i) => Math.max(0, Math.floor(T - (i * T) / steps + 0.5) - 1));
    case 'leading':
      return each((i) => (last - i) * Math.floor(T / steps));
  }
  if (steps === 1) return [first];
  switch (spacing) {
    case 'linspace':
      return each((i) => Math.floor(end + ((last - i) * (first - end)) / last + 0.5));
    case 'log_snr': {
      const [from, to] = [logSnr(schedule, first), logSnr(schedule, end)];
      const targets = each((i) => from + (i / last) * (to - from));
      return nearest(schedule, targets, first, end);
    }
  }
}

function logSnr({ abar }: Schedule, t: number): number {
  return Math.log(abar[t] / (1 - abar[t]));
}

/** The timestep with the log-SNR nearest to each target (increasing), but strictly decreasing, from `first` at most to `end`. */
function nearest(schedule: Schedule, targets: number[], first: number, end: number): number[] {
  let t = first;
  let previous = first + 1;
  return targets.map((target, i) => {
    while (t > 0 && logSnr(schedule, t) < target) t--;
    const noisier = t < first && target - logSnr(schedule, t + 1) < logSnr(schedule, t) - target;
    const left = targets.length - 1 - i;
    previous = Math.max(Math.min(noisier ? t + 1 : t, previous - 1), end + left);
    return previous;
  });
}

/**
 * A noise schedule: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) epsilon, for t in 0..T-1.
 * abar [T] lies in (0, 1) and never increases.
 */
export interface Schedule {
  readonly T: number;
  readonly abar: Float64Array;
}

/**
 * The cosine schedule (Nichol & Dhariwal 2021, eq. 17):
 * abar_t = f(t + 1) / f(0), f(u) = cos^2((u/T + s) / (1 + s) * pi/2),
 * but at least abarMin, so that the noisiest timestep keeps a signal-to-noise ratio above 0.
 */
export function cosine(T: number, s = 0.008, abarMin = 1e-5): Schedule {
  const f = (u: number) => Math.cos(((u / T + s) / (1 + s)) * (Math.PI / 2)) ** 2;
  return { T, abar: Float64Array.from({ length: T }, (_, t) => Math.max(f(t + 1) / f(0), abarMin)) };
}

/** The linear schedule (Ho et al. 2020, section 4): beta_t rises from betaStart to betaEnd; abar_t = prod_{s <= t} (1 - beta_s). */
export function linear(T: number, betaStart = 1e-4, betaEnd = 0.02): Schedule {
  const abar = new Float64Array(T);
  let product = 1;
  for (let t = 0; t < T; t++) {
    product *= 1 - (T === 1 ? betaStart : betaStart + ((betaEnd - betaStart) * t) / (T - 1));
    abar[t] = product;
  }
  return { T, abar };
}

/** A schedule as data, with the field names of a model card: the arguments of `cosine` or `linear`. */
export type ScheduleConfig =
  | {
      type: 'cosine';
      /** Number of timesteps, 1 or more. */
      T: number;
      /** Offset, 0 or more. */
      s: number;
      /** Lower bound of abar, between 0 and 1 (exclusive). */
      abar_min: number;
    }
  | {
      type: 'linear';
      /** Number of timesteps, 1 or more. */
      T: number;
      /** Variance of the first step, between 0 and 1 (exclusive). */
      beta_start: number;
      /** Variance of the last step, at least beta_start and below 1. */
      beta_end: number;
    };

/** The schedule that a configuration describes. */
export function scheduleFrom(config: ScheduleConfig): Schedule {
  return config.type === 'cosine'
    ? cosine(config.T, config.s, config.abar_min)
    : linear(config.T, config.beta_start, config.beta_end);
}

import type { ModelCard } from '../model/card.ts';

/**
 * A noise schedule: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) epsilon, for t in 0..T-1.
 * abar [T] lies in (0, 1) and never increases.
 */
export interface Schedule {
  readonly T: number;
  readonly abar: Float64Array;
}

/**
 * abar_t = f(t + 1) / f(0), f(u) = cos^2((u/T + s) / (1 + s) * pi/2) (Nichol & Dhariwal 2021, eq. 17),
 * floored at abarMin so that the noisiest step keeps a finite signal-to-noise ratio.
 */
export function cosine(T: number, s = 0.008, abarMin = 1e-5): Schedule {
  const f = (u: number) => Math.cos(((u / T + s) / (1 + s)) * (Math.PI / 2)) ** 2;
  return { T, abar: Float64Array.from({ length: T }, (_, t) => Math.max(f(t + 1) / f(0), abarMin)) };
}

/** beta_t rises linearly from betaStart to betaEnd; abar_t = prod_{s <= t} (1 - beta_s) (Ho et al. 2020, eq. 4). */
export function linear(T: number, betaStart = 1e-4, betaEnd = 0.02): Schedule {
  const abar = new Float64Array(T);
  let product = 1;
  for (let t = 0; t < T; t++) {
    product *= 1 - (T === 1 ? betaStart : betaStart + ((betaEnd - betaStart) * t) / (T - 1));
    abar[t] = product;
  }
  return { T, abar };
}

/** The schedule a model was trained with. */
export function scheduleFrom(card: ModelCard['schedule']): Schedule {
  return card.type === 'cosine'
    ? cosine(card.T, card.s, card.abar_min)
    : linear(card.T, card.beta_start, card.beta_end);
}

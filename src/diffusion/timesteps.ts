/** How a sampler's timesteps are spread over 0..T-1. */
export const SPACINGS = ['leading', 'trailing', 'linspace'] as const;
export type Spacing = (typeof SPACINGS)[number];

/**
 * The `steps` timesteps of 0..T-1 that a sampler visits, noisiest first (Lin et al. 2023, table 2), for i = 0..steps-1:
 *
 * - trailing: round(T - i T/steps) - 1. Starts at T - 1, where the network was trained on nearly pure noise. The default.
 * - leading: (steps - 1 - i) floor(T/steps). Ends at 0, but starts below T - 1 unless steps = T.
 * - linspace: evenly spaced from T - 1 to 0.
 *
 * Throws RangeError unless 1 <= steps <= T.
 */
export function timesteps(T: number, steps: number, spacing: Spacing = 'trailing'): number[] {
  if (!Number.isInteger(steps) || steps < 1 || steps > T) {
    throw new RangeError(`steps must be a whole number from 1 to ${T}, not ${steps}`);
  }
  const last = steps - 1;
  const at = (i: number) => {
    switch (spacing) {
      case 'trailing':
        return Math.max(0, Math.floor(T - (i * T) / steps + 0.5) - 1);
      case 'leading':
        return (last - i) * Math.floor(T / steps);
      case 'linspace':
        return steps === 1 ? T - 1 : Math.floor(((last - i) * (T - 1)) / last + 0.5);
    }
  };
  return Array.from({ length: steps }, (_, i) => at(i));
}

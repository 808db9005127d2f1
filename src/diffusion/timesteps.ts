export type Spacing = 'leading' | 'trailing' | 'linspace';

/**
 * Which `steps` of the T timesteps a sampler visits, noisiest first (Lin et al. 2023, table 2).
 *
 * - trailing: round(T - i T/steps) - 1. Starts at T - 1, where the model has seen pure noise: the default.
 * - leading: i floor(T/steps), counted down. Ends at 0, but does not start at T - 1.
 * - linspace: both ends.
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

import type { Sampler } from './sampler.ts';

/**
 * The last steps of a sampler: of `strength` of its steps, rounded, and at least one. For pictures that are noised to the
 * first of their timesteps rather than drawn from pure noise.
 *
 * @param strength above 0 and up to 1
 */
export function lastSteps(sampler: Sampler, strength: number): Sampler {
  const { timesteps } = sampler;
  const skipped = timesteps.length - stepsOf(timesteps.length, strength);
  return {
    timesteps: timesteps.slice(skipped),
    next(state, prediction, noise) {
      const { step, ...rest } = sampler.next({ ...state, step: state.step + skipped }, prediction, noise);
      return { ...rest, step: step - skipped };
    },
  };
}

/** The number of steps that lastSteps() leaves of `steps`. */
export function stepsOf(steps: number, strength: number): number {
  return Math.max(1, Math.round(strength * steps));
}

/** State of one image between noise and picture. Immutable: each step returns a new state. */
export interface SamplerState {
  /** Number of steps done; 0 at x_T. */
  readonly step: number;
  /** x_t, any layout: samplers treat entries independently. */
  readonly x: Float32Array;
  /** The last step's estimate of x_0, in -1..1. Multistep solvers use it, and previews show it. */
  readonly x0?: Float32Array;
}

/** What a state says of x_0: the result after the last step, else the last step's estimate; before the first step, x_T. */
export const estimateOf = ({ step, x, x0 }: SamplerState, { timesteps }: Sampler): Float32Array =>
  step === timesteps.length ? x : (x0 ?? x);

/** Returns standard normal noise of x's length for the current step. Only steps that add noise call it. */
export type DrawNoise = () => Float32Array;

/**
 * A sampler maps the current state and the network's prediction for it to the next state. It holds no state itself and
 * is synchronous, so that images with different samplers, step counts and seeds can share network evaluations.
 */
export interface Sampler {
  /** The timesteps visited, noisiest first; one network evaluation each. */
  readonly timesteps: readonly number[];
  /** The state after the step at timesteps[state.step]. `prediction` is the network's output for state.x at that timestep. */
  next(state: SamplerState, prediction: Float32Array, noise: DrawNoise): SamplerState;
}

/** abar at the start and at the end of one step, both in (0, 1]; abarNext is 1 in the last step. */
export interface Levels {
  abar: number;
  abarNext: number;
}

/** The levels of step `step`, 0..timesteps.length-1. `abar` is the schedule's, [T]. */
export function levels(abar: Float64Array, timesteps: readonly number[], step: number): Levels {
  return {
    abar: abar[timesteps[step]],
    abarNext: step + 1 < timesteps.length ? abar[timesteps[step + 1]] : 1,
  };
}

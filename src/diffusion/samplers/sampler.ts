/** Where one image stands on its way from noise to a picture. Immutable: a step makes the next. */
export interface SamplerState {
  /** Steps done: 0 at x_T. */
  readonly step: number;
  /** x_t, any layout; entries are independent. */
  readonly x: Float32Array;
  /** The last step's estimate of the clean picture, in -1..1; what multistep solvers remember and previews show. */
  readonly x0?: Float32Array;
}

/** Standard normal noise of x's length for this step; called only by steps that add noise. */
export type DrawNoise = () => Float32Array;

/**
 * A sampler is a pure state machine: the network's prediction at the current step in, the next x out.
 * It holds no state and never waits, so images that use different samplers, step counts and seeds can share
 * every evaluation of the network.
 */
export interface Sampler {
  /** The timesteps it visits, noisiest first; its length is the number of evaluations. */
  readonly timesteps: readonly number[];
  /** The state after the step at `timesteps[state.step]`. `prediction` is the network's output for state.x. */
  next(state: SamplerState, prediction: Float32Array, noise: DrawNoise): SamplerState;
}

/** The noise levels between which one step moves: abar_t, and abar of the next timestep (1 after the last). */
export interface Levels {
  abar: number;
  abarNext: number;
}

export function levels(abar: Float64Array, timesteps: readonly number[], step: number): Levels {
  return {
    abar: abar[timesteps[step]],
    abarNext: step + 1 < timesteps.length ? abar[timesteps[step + 1]] : 1,
  };
}

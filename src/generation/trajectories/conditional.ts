import { gaussian } from '../../diffusion/noise.ts';
import { estimateOf, type SamplerState } from '../../diffusion/samplers/sampler.ts';
import type { Trajectory } from '../../scheduler/trajectory.ts';
import { merged, type NoiseLevel, noiseLevel, type WholeOptions, wholeFill } from './conditioning.ts';
import { noisyShown, shrunk } from './shown.ts';

/**
 * Inpainting with a conditional model (Palette, Saharia et al. 2022). At every step the network sees x_t in the hole, the
 * clean known pixels around it, and the mask as -1/+1: [4, R, R]. With a mask that is all hole this is plain sampling.
 */
export class ConditionalTrajectory implements Trajectory {
  readonly rows = 1;
  readonly network = 'base';
  readonly #options: WholeOptions;
  /** [4, R, R], the same memory at every step: only the hole changes. */
  readonly #input: Float32Array;
  #state: SamplerState;
  /** The state that the network has evaluated last. */
  #evaluated: SamplerState;

  constructor(options: WholeOptions) {
    this.#options = options;
    const { x0, mask } = options.conditioning;
    this.#input = new Float32Array(x0.length + mask.length);
    this.#input.set(x0);
    for (let p = 0; p < mask.length; p++) this.#input[x0.length + p] = 2 * mask[p] - 1;
    const noise = this.#noise(0);
    this.#state = { step: 0, x: options.noised?.(noise) ?? noise };
    this.#evaluated = this.#state;
  }

  get total(): number {
    return this.#options.sampler.timesteps.length;
  }

  get step(): number {
    return this.#state.step;
  }

  /**
   * The current estimate of x_0, [3, R, R] in -1..1, with the known pixels restored; the result when all steps are done.
   * The network is not trained on known pixels, so its output there must not reach the seam.
   */
  get x0(): Float32Array {
    return this.#withKnown(estimateOf(this.#state, this.#options.sampler));
  }

  get fills() {
    return [wholeFill(this.x0)];
  }

  get preview() {
    return shrunk(wholeFill(this.x0));
  }

  get noisy() {
    return noisyShown(wholeFill(this.#withKnown(this.#evaluated.x)));
  }

  get noiseLevel(): NoiseLevel {
    return noiseLevel(this.#options, this.#evaluated.step);
  }

  input(): { x: Float32Array; t: number } {
    const [{ mask }, { x, step }] = [this.#options.conditioning, this.#state];
    for (let from = 0; from < x.length; from += mask.length)
      for (let p = 0; p < mask.length; p++) if (mask[p] === 1) this.#input[from + p] = x[from + p];
    return { x: this.#input, t: this.#options.sampler.timesteps[step] };
  }

  advance(prediction: Float32Array): void {
    this.#evaluated = this.#state;
    this.#state = this.#options.sampler.next(this.#state, prediction, () =>
      this.#noise(this.#state.step + 1),
    );
  }

  #withKnown(found: Float32Array): Float32Array {
    const { x0, mask } = this.#options.conditioning;
    return merged(found, x0, mask);
  }

  #noise(step: number): Float32Array {
    const { seed, candidate, conditioning } = this.#options;
    return gaussian({ seed, candidate, step }, conditioning.x0.length);
  }
}

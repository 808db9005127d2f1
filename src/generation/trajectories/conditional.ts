import { gaussian } from '../../diffusion/noise.ts';
import { estimateOf, type Sampler, type SamplerState } from '../../diffusion/samplers/sampler.ts';
import type { Schedule } from '../../diffusion/schedule.ts';
import { square } from '../../image/picture.ts';
import type { Trajectory } from '../../scheduler/trajectory.ts';
import type { Canvas } from './enlarge.ts';
import { noisyShown, shrunk } from './shown.ts';

/** The known part of the picture, at the model's resolution R. */
export interface Conditioning {
  /** [3, R, R] in -1..1; values in the hole are never used. */
  x0: Float32Array;
  /** [R, R], 1 in the hole, 0 where the picture is known. */
  mask: Float32Array;
}

/** A timestep, and abar there: the share of the signal's variance in x_t. */
export interface NoiseLevel {
  timestep: number;
  abar: number;
}

/** The noise level of a sampler's step. */
export function noiseLevel({ abar }: Schedule, { timesteps }: Sampler, step: number): NoiseLevel {
  return { timestep: timesteps[step], abar: abar[timesteps[step]] };
}

/** The estimate of a picture at the model's resolution, [3, R, R], as a canvas. */
export function wholeFill(x0: Float32Array): Canvas {
  return { level: 0, left: 0, top: 0, ...square(Math.sqrt(x0.length / 3)), x0 };
}

/**
 * Inpainting with a conditional model (Palette, Saharia et al. 2022). At every step the network sees x_t in the hole, the
 * clean known pixels around it, and the mask as -1/+1: [4, R, R]. With a mask that is all hole this is plain sampling.
 */
export class ConditionalTrajectory implements Trajectory {
  readonly rows = 1;
  readonly network = 'base';
  readonly #sampler: Sampler;
  readonly #schedule: Schedule;
  readonly #conditioning: Conditioning;
  readonly #seed: number;
  readonly #candidate: number;
  /** [4, R, R], the same memory at every step: only the hole changes. */
  readonly #input: Float32Array;
  #state: SamplerState;
  /** The state that the network has evaluated last. */
  #evaluated: SamplerState;

  /**
   * @param candidate its index; each has a noise stream of its own
   * @param noised makes the first x from noise; the noise itself when absent
   */
  constructor(
    sampler: Sampler,
    schedule: Schedule,
    conditioning: Conditioning,
    seed: number,
    candidate: number,
    noised = (noise: Float32Array) => noise,
  ) {
    this.#sampler = sampler;
    this.#schedule = schedule;
    this.#conditioning = conditioning;
    this.#seed = seed;
    this.#candidate = candidate;
    const { x0, mask } = conditioning;
    this.#input = new Float32Array(x0.length + mask.length);
    this.#input.set(x0);
    for (let p = 0; p < mask.length; p++) this.#input[x0.length + p] = 2 * mask[p] - 1;
    this.#state = { step: 0, x: noised(this.#noise(0)) };
    this.#evaluated = this.#state;
  }

  get total(): number {
    return this.#sampler.timesteps.length;
  }

  get step(): number {
    return this.#state.step;
  }

  /**
   * The current estimate of x_0, [3, R, R] in -1..1, with the known pixels restored; the result when all steps are done.
   * The network is not trained on known pixels, so its output there must not reach the seam.
   */
  get x0(): Float32Array {
    return this.#withKnown(estimateOf(this.#state, this.#sampler));
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
    return noiseLevel(this.#schedule, this.#sampler, this.#evaluated.step);
  }

  input(): { x: Float32Array; t: number } {
    const [{ mask }, { x, step }] = [this.#conditioning, this.#state];
    for (let from = 0; from < x.length; from += mask.length)
      for (let p = 0; p < mask.length; p++) if (mask[p] === 1) this.#input[from + p] = x[from + p];
    return { x: this.#input, t: this.#sampler.timesteps[step] };
  }

  advance(prediction: Float32Array): void {
    this.#evaluated = this.#state;
    this.#state = this.#sampler.next(this.#state, prediction, () => this.#noise(this.#state.step + 1));
  }

  #withKnown(found: Float32Array): Float32Array {
    const { x0, mask } = this.#conditioning;
    return merged(found, x0, mask);
  }

  #noise(step: number): Float32Array {
    return gaussian({ seed: this.#seed, candidate: this.#candidate, step }, this.#conditioning.x0.length);
  }
}

/** `found` in the hole and `known` outside it, all [3, R, R]. mask: [R, R], 1 in the hole. */
export function merged(found: Float32Array, known: Float32Array, mask: Float32Array): Float32Array {
  const both = new Float32Array(found.length);
  for (let from = 0; from < both.length; from += mask.length)
    for (let p = 0; p < mask.length; p++) both[from + p] = mask[p] === 1 ? found[from + p] : known[from + p];
  return both;
}

import { qSample } from '../../diffusion/forward.ts';
import { gaussian } from '../../diffusion/noise.ts';
import { estimateOf, type SamplerState } from '../../diffusion/samplers/sampler.ts';
import { hasKnown } from '../../image/region.ts';
import type { Trajectory } from '../../scheduler/trajectory.ts';
import { merged, type NoiseLevel, noiseLevel, type WholeOptions, wholeFill } from './conditioning.ts';
import { noisyShown, shrunk } from './shown.ts';

export interface Resampling {
  /** Steps that a jump goes back (the paper's j). */
  jump: number;
  /** Times that each stretch of `jump` steps but the first is taken (the paper's r); 1: once, without jumps. */
  times: number;
}

export interface RepaintOptions extends WholeOptions {
  resampling: Resampling;
}

/**
 * Inpainting with an unconditional model (RePaint, Lugmayr et al. 2022, algorithm 1). After every step the known
 * pixels are put in as the forward process would have them at that level,
 *
 *   x_next = m x_next' + (1 - m) (sqrt(abar_next) x_0 + sqrt(1 - abar_next) z),
 *
 * and at every `jump`-th level, counted from the least noisy one, x is noised back by `jump` steps,
 * x_back = sqrt(a) x + sqrt(1 - a) z with a = abar_back / abar_next, and denoised again, so that the hole can adapt to its
 * surroundings. The last step puts in x_0 itself. If nothing is known, there is nothing to adapt to, and no jump.
 */
export class RepaintTrajectory implements Trajectory {
  readonly rows = 1;
  readonly network = 'base';
  readonly #options: WholeOptions;
  /** For each evaluation, the index of the sampler's step. */
  readonly #plan: number[];
  #state: SamplerState;
  /** The state that the network has evaluated last. */
  #evaluated: SamplerState;
  /** What the last step says of x_0, which a jump after it does not change. */
  #estimate: Float32Array;
  #draws = 0;
  step = 0;

  constructor(options: RepaintOptions) {
    this.#options = options;
    const { sampler, conditioning, resampling } = options;
    const jumps = hasKnown(conditioning.mask) ? resampling : { jump: 1, times: 1 };
    this.#plan = repaintPlan(sampler.timesteps.length, jumps);
    const noise = this.#noise();
    this.#state = { step: 0, x: options.noised?.(noise) ?? noise };
    this.#evaluated = this.#state;
    this.#estimate = this.#state.x;
  }

  get total(): number {
    return this.#plan.length;
  }

  /** The current estimate of the clean picture, [3, R, R] in -1..1: the result when all steps are done. */
  get x0(): Float32Array {
    return this.#estimate;
  }

  get fills() {
    return [wholeFill(this.x0.slice())]; // the state itself stays here when the fill is transferred
  }

  get preview() {
    return shrunk(wholeFill(this.x0));
  }

  get noisy() {
    return noisyShown(wholeFill(this.#evaluated.x));
  }

  get noiseLevel(): NoiseLevel {
    return noiseLevel(this.#options, this.#evaluated.step);
  }

  input(): { x: Float32Array; t: number } {
    return { x: this.#state.x, t: this.#options.sampler.timesteps[this.#state.step] };
  }

  advance(prediction: Float32Array): void {
    this.#evaluated = this.#state;
    const next = this.#options.sampler.next(this.#state, prediction, () => this.#noise());
    this.#state = { ...next, x: this.#withKnown(next) };
    this.#estimate = estimateOf(this.#state, this.#options.sampler);
    this.step++;
    const planned = this.#plan[this.step];
    if (this.step < this.total && planned < this.#state.step) this.#jumpBack(planned);
  }

  #withKnown({ x, step }: SamplerState): Float32Array {
    const { schedule, sampler, conditioning } = this.#options;
    const { x0, mask } = conditioning;
    const t = sampler.timesteps[step];
    const known = t === undefined ? x0 : qSample(schedule, x0, t, this.#noise());
    return merged(x, known, mask);
  }

  #jumpBack(step: number) {
    const { schedule, sampler } = this.#options;
    const abarAt = (index: number) => schedule.abar[sampler.timesteps[index]];
    const a = abarAt(step) / abarAt(this.#state.step);
    const z = this.#noise();
    // Without x0: a multistep sampler must not combine estimates from before and after the jump.
    const [signal, noise] = [Math.sqrt(a), Math.sqrt(1 - a)];
    const x = new Float32Array(z.length);
    for (let i = 0; i < x.length; i++) x[i] = signal * this.#state.x[i] + noise * z[i];
    this.#state = { step, x };
  }

  #noise(): Float32Array {
    const { seed, candidate, conditioning } = this.#options;
    return gaussian({ seed, candidate, step: this.#draws++ }, conditioning.x0.length);
  }
}

/** The number of evaluations of repaintPlan(). */
export function repaintEvaluations(steps: number, { jump, times }: Resampling): number {
  return steps + Math.ceil(Math.max(0, steps - jump) / jump) * (times - 1) * jump;
}

/**
 * The sampler's steps, 0 being the noisiest, in the order in which they are evaluated: the schedule of the published code
 * (get_schedule_jump). Levels are numbered from 0, just before the last step, to `steps` - 1, pure noise. When level 0,
 * jump, 2 jump, ... below steps - jump is reached for the first `times` - 1 times, x goes back up by `jump` levels.
 */
export function repaintPlan(steps: number, { jump, times }: Resampling): number[] {
  const jumpsLeft = new Map<number, number>();
  for (let level = 0; level < steps - jump; level += jump) jumpsLeft.set(level, times - 1);
  const plan: number[] = [];
  for (let level = steps - 1; level >= 0; ) {
    const left = jumpsLeft.get(level) ?? 0;
    if (left > 0) {
      jumpsLeft.set(level, left - 1);
      level += jump;
    } else {
      plan.push(steps - 1 - level);
      level--;
    }
  }
  return plan;
}

import { qSample } from '../../diffusion/forward.ts';
import { gaussianPixel } from '../../diffusion/noise.ts';
import { type PredictionType, predictX0 } from '../../diffusion/prediction.ts';
import { estimateOf, type Sampler, type SamplerState } from '../../diffusion/samplers/sampler.ts';
import type { Schedule } from '../../diffusion/schedule.ts';
import { cropTensor } from '../../image/regions/crop.ts';
import type { LevelPixels } from '../../image/regions/level.ts';
import type { Level } from '../../image/regions/plan.ts';
import { type NoiseLevel, noiseLevel } from './conditioning.ts';
import { type Canvas, enlargedAt } from './enlarge.ts';
import { sharpened, sharpening } from './sharpen.ts';
import { isShownNoisy, noisyShown, type Shown, Shrinker } from './shown.ts';

/** One level of a region, and its known pixels. */
export interface LevelInput extends Level, LevelPixels {}

/** How a refiner is given the coarse fill. */
export interface Refining {
  /** Conditioning augmentation: standard deviation of the noise that is added to the enlarged fill, and its largest value. */
  noise: number;
  noiseMax: number;
  /**
   * Amount of the unsharp mask that is applied to the fill before it is enlarged, for a fill as sharp as the known pixels around
   * it: see sharpening(). 0, the default: none for any fill.
   */
  sharpen?: number;
}

/** How the windows of a level are denoised. */
export interface JointOptions {
  /** Takes x_0 (prediction type "sample") of the hole's pixels, [3, n], and the network's output for the variance, if any. */
  sampler: Sampler;
  schedule: Schedule;
  /** What the network predicts. */
  prediction: PredictionType;
  /** Whether the windows' estimates of x_0 are clipped to -1..1. */
  clip?: boolean;
  seed: number;
  candidate: number;
  /** The fill of the next coarser level, and its hole; absent for the base model. */
  coarse?: Refining & { canvas: Canvas; mask: Float32Array };
}

/**
 * Denoises a hole in windows (MultiDiffusion, Bar-Tal et al. 2023). The state x_t is that of the hole's pixels alone. At
 * every step the network sees each window by itself; its estimates of x_0 are averaged where windows overlap, with weights
 * that fall towards a window's edge, and the sampler moves all pixels one step on. So no seam can appear.
 *
 * Noise is keyed by a pixel's position in the level: it does not depend on windows, batches or the canvas.
 *
 * x starts as pure noise. A refiner may start later, at a timestep below T - 1: then x starts as the enlarged coarse fill
 * with the noise of that timestep (SDEdit, Meng et al. 2022), since the coarse fill decides the layout already.
 */
export class JointDenoising {
  readonly #level: LevelInput;
  readonly #options: JointOptions;
  /** Index in the canvas of each pixel of the hole that lies in a window. Others, beyond the picture's edges, stay as they are. */
  readonly #pixels: Int32Array;
  readonly #windows: Window[];
  /** Sum of the windows' weights for each pixel of the hole. */
  readonly #weights: Float32Array;
  /** [3, n], the enlarged coarse fill with its noise. */
  readonly #coarse: Float32Array | undefined;
  #state: SamplerState;
  /** The state that the network has evaluated last. */
  #evaluated: SamplerState;
  /** The windows' estimates of x_0 in the current step, [3, pixels of the hole in the window], and what they say of the variance. */
  #found: (Float32Array | undefined)[] = [];
  #left: number;
  #shrinker: Shrinker | undefined;

  constructor(level: LevelInput, options: JointOptions) {
    this.#level = level;
    this.#options = options;
    const { pixels, windows } = shownHole(level);
    this.#pixels = pixels;
    this.#windows = windows;
    const weight = weights(level.windows[0].width);
    this.#weights = new Float32Array(this.#pixels.length);
    for (const { slots, places } of this.#windows)
      for (let i = 0; i < slots.length; i++) this.#weights[slots[i]] += weight[places[i]];
    this.#coarse = options.coarse && this.#enlarge(options.coarse);
    this.#state = { step: 0, x: this.#start() };
    this.#evaluated = this.#state;
    this.#left = this.#windows.length;
  }

  /** A step is done. */
  get isBegun(): boolean {
    return this.#state.step > 0;
  }

  /** All steps are done. */
  get isFinished(): boolean {
    return this.#state.step === this.#options.sampler.timesteps.length;
  }

  get rows(): number {
    return this.#windows.length;
  }

  /** The level's canvas with the current estimate of x_0 in the hole; the result when all steps are done. */
  get canvas(): Canvas {
    return this.#filledWith(estimateOf(this.#state, this.#options.sampler));
  }

  /** The hole in the canvas, [height, width]. */
  get mask(): Float32Array {
    return this.#level.mask;
  }

  /** The canvas with the current estimate of x_0 in the hole, made smaller. */
  get preview(): Shown {
    const { x0, canvas, level } = this.#level;
    this.#shrinker ??= new Shrinker({ ...canvas, level, x0 }, this.#pixels);
    return this.#shrinker.shown(estimateOf(this.#state, this.#options.sampler));
  }

  /** The canvas with x_t of the last step in the hole: what the network saw. undefined where it is too large to be shown. */
  get noisy(): Shown | undefined {
    return isShownNoisy(this.#level.canvas) ? noisyShown(this.#filledWith(this.#evaluated.x)) : undefined;
  }

  /** Of its last step. */
  get noiseLevel(): NoiseLevel {
    return noiseLevel(this.#options, this.#evaluated.step);
  }

  #filledWith(found: Float32Array): Canvas {
    const { x0, canvas, level } = this.#level;
    const filled = x0.slice();
    const [n, plane] = [this.#pixels.length, canvas.width * canvas.height];
    for (let c = 0; c < 3; c++)
      for (let i = 0; i < n; i++) filled[c * plane + this.#pixels[i]] = found[c * n + i];
    return { ...canvas, level, x0: filled };
  }

  /**
   * A window as the network sees it. Base: x_t in the hole and known pixels around it, and the mask as -1/+1, [4, R, R].
   * Refiner: the same pixels, the coarse fill in the hole and known pixels around it, the mask, the noise of the coarse fill, [8, R, R].
   */
  input(row: number): { x: Float32Array; t: number } {
    const { x0, canvas, windows } = this.#level;
    const area = windows[row].width ** 2;
    const known = cropTensor(x0, canvas, windows[row]);
    const { coarse } = this.#options;
    const x = new Float32Array((coarse ? 8 : 4) * area);
    const maskAt = (coarse ? 6 : 3) * area;
    x.set(known);
    if (coarse) {
      x.set(known, 3 * area);
      x.fill((2 * coarse.noise) / coarse.noiseMax - 1, 7 * area);
    }
    x.fill(-1, maskAt, maskAt + area);
    const { slots, places } = this.#windows[row];
    const n = this.#pixels.length;
    for (let i = 0; i < slots.length; i++) {
      for (let c = 0; c < 3; c++) x[c * area + places[i]] = this.#state.x[c * n + slots[i]];
      x[maskAt + places[i]] = 1;
    }
    if (this.#coarse) {
      for (let i = 0; i < slots.length; i++)
        for (let c = 0; c < 3; c++) x[(3 + c) * area + places[i]] = this.#coarse[c * n + slots[i]];
    }
    return { x, t: this.#options.sampler.timesteps[this.#state.step] };
  }

  /** Takes the network's output for a window, [3, R, R] or [6, R, R] with variances. The last window of a step moves all pixels one step on. */
  advance(prediction: Float32Array, row: number): void {
    const { schedule, sampler, prediction: type, clip } = this.#options;
    const { slots, places } = this.#windows[row];
    const area = this.#level.windows[row].width ** 2;
    const abar = schedule.abar[sampler.timesteps[this.#state.step]];
    const [n, m] = [this.#pixels.length, slots.length];
    const x = new Float32Array(3 * m);
    const predicted = new Float32Array((prediction.length / area) * m);
    for (let c = 0; c < predicted.length / m; c++)
      for (let i = 0; i < m; i++) predicted[c * m + i] = prediction[c * area + places[i]];
    for (let c = 0; c < 3; c++) for (let i = 0; i < m; i++) x[c * m + i] = this.#state.x[c * n + slots[i]];
    predicted.set(predictX0(type, abar, x, predicted, clip));
    this.#found[row] = predicted;
    if (--this.#left > 0) return;
    this.#evaluated = this.#state;
    this.#state = sampler.next(this.#state, this.#average(), () => this.#noise(this.#state.step + 1));
    this.#found = [];
    this.#left = this.#windows.length;
  }

  /** The weighted mean of the windows' estimates, [3 or 6, n]: added in the order of the windows, whichever came first. */
  #average(): Float32Array {
    const n = this.#pixels.length;
    const channels = (this.#found[0] as Float32Array).length / this.#windows[0].slots.length;
    const mean = new Float32Array(channels * n);
    const weight = weights(this.#level.windows[0].width);
    for (const [row, { slots, places }] of this.#windows.entries()) {
      const found = this.#found[row] as Float32Array;
      const m = slots.length;
      for (let c = 0; c < channels; c++)
        for (let i = 0; i < m; i++) mean[c * n + slots[i]] += weight[places[i]] * found[c * m + i];
    }
    for (let c = 0; c < channels; c++) for (let i = 0; i < n; i++) mean[c * n + i] /= this.#weights[i];
    return mean;
  }

  #start(): Float32Array {
    const { schedule, sampler } = this.#options;
    const [first] = sampler.timesteps;
    const noise = this.#noise(0);
    return this.#coarse && first < schedule.T - 1 ? qSample(schedule, this.#coarse, first, noise) : noise;
  }

  #noise(step: number): Float32Array {
    const { seed, candidate } = this.#options;
    const { canvas, level } = this.#level;
    const n = this.#pixels.length;
    const noise = new Float32Array(3 * n);
    const pixel = new Float64Array(4);
    for (let i = 0; i < n; i++) {
      const x = canvas.left + (this.#pixels[i] % canvas.width);
      const y = canvas.top + Math.floor(this.#pixels[i] / canvas.width);
      gaussianPixel({ seed, candidate, step }, { x, y, level }, pixel);
      for (let c = 0; c < 3; c++) noise[c * n + i] = pixel[c];
    }
    return noise;
  }

  #enlarge({ canvas: fill, mask, noise, sharpen }: NonNullable<JointOptions['coarse']>): Float32Array {
    const { canvas } = this.#level;
    const coarse = sharpen ? sharpened(fill, sharpening(fill, mask, sharpen)) : fill;
    const n = this.#pixels.length;
    // A draw of its own: steps of a sampler are far fewer.
    const enlarged = this.#noise(AUGMENTATION_DRAW);
    for (let i = 0; i < n; i++) {
      const x = canvas.left + (this.#pixels[i] % canvas.width);
      const y = canvas.top + Math.floor(this.#pixels[i] / canvas.width);
      for (let c = 0; c < 3; c++) {
        enlarged[c * n + i] = enlargedAt(coarse, x, y, c) + noise * enlarged[c * n + i];
      }
    }
    return enlarged;
  }
}

const AUGMENTATION_DRAW = 2 ** 20;

/** The pixels of the hole in a window: their index among the hole's pixels, and their place in the window. */
interface Window {
  slots: Int32Array;
  places: Int32Array;
}

/** The hole's pixels that windows show, as places in the canvas, and each window's share of them. */
function shownHole({ windows, canvas, mask }: LevelInput): { pixels: Int32Array; windows: Window[] } {
  const pixels: number[] = [];
  const slotOf = new Int32Array(mask.length).fill(-1);
  const shares = windows.map(({ left, top, width: side }) => {
    const slots: number[] = [];
    const places: number[] = [];
    for (let y = 0; y < side; y++) {
      const from = (top - canvas.top + y) * canvas.width + left - canvas.left;
      for (let x = 0; x < side; x++) {
        const pixel = from + x;
        if (mask[pixel] !== 1) continue;
        if (slotOf[pixel] < 0) slotOf[pixel] = pixels.push(pixel) - 1;
        slots.push(slotOf[pixel]);
        places.push(y * side + x);
      }
    }
    return { slots: Int32Array.from(slots), places: Int32Array.from(places) };
  });
  return { pixels: Int32Array.from(pixels), windows: shares };
}

const weightsOf = new Map<number, Float32Array>();

/** [side, side]: a window's weight for each of its pixels, the distance to the nearest edge of the window. */
function weights(side: number): Float32Array {
  const known = weightsOf.get(side);
  if (known) return known;
  const ramp = (at: number) => Math.min(at + 1, side - at);
  const made = Float32Array.from({ length: side * side }, (_, p) =>
    Math.min(ramp(p % side), ramp(Math.floor(p / side))),
  );
  weightsOf.set(side, made);
  return made;
}

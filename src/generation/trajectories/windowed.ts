import type { NetworkName } from '../../engine/engine.ts';
import type { Trajectory } from '../../scheduler/trajectory.ts';
import type { NoiseLevel } from './conditional.ts';
import type { Canvas } from './enlarge.ts';
import { JointDenoising, type JointOptions, type LevelInput } from './joint.ts';

/** What is denoised at the same time: one level of some regions, all with the same network and sampler. */
export interface Stage {
  network: NetworkName;
  options: Omit<JointOptions, 'coarse'>;
  /** The refiner's conditioning augmentation: standard deviation of the noise that is added to coarse fills, and its largest value. */
  augmentation?: { level: number; levelMax: number };
  /** `region`: its index. */
  levels: { region: number; input: LevelInput }[];
}

/**
 * Fills the regions of a plan, from coarse levels to fine ones. All regions are filled by the base model first, together;
 * then each stage refines those that have a further level.
 */
export class WindowedTrajectory implements Trajectory {
  readonly total: number;
  step = 0;
  readonly #stages: readonly Stage[];
  #stage = 0;
  /** Of the current stage. */
  #running: JointDenoising[];
  /** That in which the last step was: the current stage, or the one before, which has just been finished. */
  #shown: { stage: number; running: JointDenoising[] };
  /** The latest fill of each region that a stage has finished. */
  readonly #filled: Canvas[] = [];

  constructor(stages: readonly Stage[]) {
    this.#stages = stages;
    this.total = stages.reduce((sum, { options, levels }) => {
      const windows = levels.reduce((count, { input }) => count + input.windows.length, 0);
      return sum + windows * options.sampler.timesteps.length;
    }, 0);
    this.#running = this.#begin();
    this.#shown = { stage: 0, running: this.#running };
  }

  get network(): NetworkName {
    return this.#stages[this.#stage].network;
  }

  get rows(): number {
    return this.#running.reduce((sum, { rows }) => sum + rows, 0);
  }

  input(row: number): { x: Float32Array; t: number } {
    const [denoising, window] = this.#find(row);
    return denoising.input(window);
  }

  advance(prediction: Float32Array, row: number): void {
    const [denoising, window] = this.#find(row);
    denoising.advance(prediction, window);
    this.step++;
    this.#shown = { stage: this.#stage, running: this.#running };
    if (this.#running.every(({ isFinished }) => isFinished)) this.#finishStage();
  }

  /** The current estimate of x_0 of every region that has been begun, at the level that it has reached. */
  get fills(): Canvas[] {
    const fills = [...this.#filled];
    for (const [i, { region }] of this.#levels.entries()) fills[region] = this.#running[i].canvas;
    return fills.filter((fill) => fill !== undefined);
  }

  get noisy(): Canvas[] {
    const { stage, running } = this.#shown;
    const noisy = [...this.#filled];
    for (const [i, { region }] of this.#stages[stage].levels.entries()) noisy[region] = running[i].noisy;
    return noisy;
  }

  get level(): NoiseLevel {
    return this.#shown.running[0].noiseLevel;
  }

  get #levels() {
    return this.#stages[this.#stage].levels;
  }

  #begin(): JointDenoising[] {
    const { options, augmentation, levels } = this.#stages[this.#stage];
    return levels.map(({ region, input }) => {
      const coarse = augmentation && { canvas: this.#filled[region], ...augmentation };
      return new JointDenoising(input, { ...options, coarse });
    });
  }

  #finishStage() {
    for (const [i, { region }] of this.#levels.entries()) this.#filled[region] = this.#running[i].canvas;
    if (this.#stage === this.#stages.length - 1) return;
    this.#stage++;
    this.#running = this.#begin();
  }

  #find(row: number): [JointDenoising, window: number] {
    let window = row;
    for (const denoising of this.#running) {
      if (window < denoising.rows) return [denoising, window];
      window -= denoising.rows;
    }
    throw new RangeError(`there is no row ${row}`);
  }
}

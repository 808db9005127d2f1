import type { NetworkName } from '../../engine/engine.ts';
import type { Trajectory } from '../../scheduler/trajectory.ts';
import type { NoiseLevel } from './conditioning.ts';
import type { Canvas } from './enlarge.ts';
import { JointDenoising, type JointOptions, type LevelInput, type Refining } from './joint.ts';
import type { Shown } from './shown.ts';

/** What is denoised at the same time: one level of some regions, all with the same network and sampler. */
export interface Stage {
  network: NetworkName;
  options: Omit<JointOptions, 'coarse'>;
  /** The refiner's alone. */
  refining?: Refining;
  /** `region`: its index. */
  levels: { region: number; input: LevelInput }[];
}

/** A stage that has been begun. */
interface BegunStage {
  levels: Stage['levels'];
  /** One for each of them. */
  running: JointDenoising[];
}

/**
 * Fills the regions of a plan, from coarse levels to fine ones. All regions are filled by the base model first; then each
 * stage refines those that have a further level.
 */
export class WindowedTrajectory implements Trajectory {
  readonly total: number;
  step = 0;
  readonly #stages: readonly Stage[];
  #stage = 0;
  #current: BegunStage;
  /** The current one, or the one before until each region has done a first step: noise is all that it has to show till then. */
  #shown: BegunStage;
  /** The latest level of each region that a stage has finished. */
  readonly #finished: JointDenoising[] = [];

  constructor(stages: readonly Stage[]) {
    this.#stages = stages;
    this.total = stages.reduce((sum, { options, levels }) => {
      const windows = levels.reduce((count, { input }) => count + input.windows.length, 0);
      return sum + windows * options.sampler.timesteps.length;
    }, 0);
    this.#current = this.#begin();
    this.#shown = this.#current;
  }

  get network(): NetworkName {
    return this.#stages[this.#stage].network;
  }

  get rows(): number {
    return this.#current.running.reduce((sum, { rows }) => sum + rows, 0);
  }

  input(row: number): { x: Float32Array; t: number } {
    const [denoising, window] = this.#find(row);
    return denoising.input(window);
  }

  advance(prediction: Float32Array, row: number): void {
    const [denoising, window] = this.#find(row);
    denoising.advance(prediction, window);
    this.step++;
    if (this.#current.running.every(({ isBegun }) => isBegun)) this.#shown = this.#current;
    if (this.#current.running.every(({ isFinished }) => isFinished)) this.#finishStage();
  }

  /** The current estimate of x_0 of every region that has been begun, at the level that it has reached. */
  get fills(): Canvas[] {
    return this.#begun(this.#shown).map(({ canvas }) => canvas);
  }

  get preview(): Shown {
    return largest(this.#begun(this.#shown)).preview;
  }

  get noisy(): Shown | undefined {
    return largest(this.#begun(this.#shown)).noisy;
  }

  get noiseLevel(): NoiseLevel {
    return this.#shown.running[0].noiseLevel;
  }

  /** Each region at the level of this stage, or at that which it has finished; not those that no stage has begun yet. */
  #begun({ levels, running }: BegunStage): JointDenoising[] {
    const reached = this.#finished.slice();
    for (const [i, { region }] of levels.entries()) reached[region] = running[i];
    return reached.filter((denoising) => denoising !== undefined);
  }

  #begin(): BegunStage {
    const { options, refining, levels } = this.#stages[this.#stage];
    const coarseOf = ({ canvas, mask }: JointDenoising) => refining && { canvas, mask, ...refining };
    const running = levels.map(({ region, input }) => {
      const coarse = refining && coarseOf(this.#finished[region]);
      return new JointDenoising(input, { ...options, coarse });
    });
    return { levels, running };
  }

  #finishStage() {
    const { levels, running } = this.#current;
    for (const [i, { region }] of levels.entries()) this.#finished[region] = running[i];
    if (this.#stage === this.#stages.length - 1) return;
    this.#stage++;
    this.#current = this.#begin();
  }

  #find(row: number): [JointDenoising, window: number] {
    let window = row;
    for (const denoising of this.#current.running) {
      if (window < denoising.rows) return [denoising, window];
      window -= denoising.rows;
    }
    throw new RangeError(`there is no row ${row}`);
  }
}

function largest(denoisings: readonly JointDenoising[]): JointDenoising {
  return denoisings.reduce((a, b) => (b.mask.length > a.mask.length ? b : a));
}

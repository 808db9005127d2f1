import { qSample } from '../../diffusion/forward.ts';
import type { PredictionType } from '../../diffusion/prediction.ts';
import { createSampler, type SamplerName, type SamplerOptions } from '../../diffusion/samplers/index.ts';
import { lastSteps } from '../../diffusion/samplers/last-steps.ts';
import { type Schedule, type ScheduleConfig, scheduleFrom } from '../../diffusion/schedule.ts';
import type { NetworkName } from '../../engine/engine.ts';
import type { RefinerCard } from '../../model/refiner.ts';
import type { Trajectory } from '../../scheduler/trajectory.ts';
import { ConditionalTrajectory } from './conditional.ts';
import type { Conditioning, NoiseLevel } from './conditioning.ts';
import type { Canvas } from './enlarge.ts';
import type { LevelInput, Refining } from './joint.ts';
import { RepaintTrajectory, type Resampling } from './repaint.ts';
import type { Shown } from './shown.ts';
import { WindowedTrajectory } from './windowed.ts';

/** What a trajectory is made from, as plain data, so that it can be made in another thread. */
export type TrajectorySpec = WholeSpec | WindowedSpec;

/** How a network is sampled. */
export interface Sampling {
  schedule: ScheduleConfig;
  prediction: PredictionType;
  sampler: { name: SamplerName } & Pick<
    SamplerOptions,
    'steps' | 'eta' | 'spacing' | 'firstTimestep' | 'finalTimestep' | 'variance' | 'clip'
  >;
}

/** How a network of a model card is sampled with these parameters. */
export function sampledAs(
  { schedule, prediction, sampling }: Pick<RefinerCard, 'schedule' | 'prediction' | 'sampling'>,
  { sampler: name, steps, eta }: { sampler: SamplerName; steps: number; eta: number },
): Sampling {
  const { spacing, first_timestep: firstTimestep, final_timestep: finalTimestep, variance, clip } = sampling;
  const options = { name, steps, eta, spacing, firstTimestep, finalTimestep, variance, clip };
  return { schedule, prediction, sampler: options };
}

/** A picture at the model's resolution. */
export interface WholeSpec extends Sampling {
  /** inpaint: the network is conditioned on the known pixels; none: an unconditional network, with RePaint. */
  method: 'inpaint' | 'none';
  conditioning: Conditioning;
  /** RePaint's jumps. */
  resampling: Resampling;
  start?: Start;
  seed: number;
  candidate: number;
}

/** A picture to start from: it is noised in part and denoised again (SDEdit, Meng et al. 2022). */
export interface Start {
  /** [3, R, R] in -1..1. */
  x0: Float32Array;
  /** Share of the steps that are taken, above 0 and up to 1. */
  strength: number;
}

/** The regions of a plan, in windows. */
export interface WindowedSpec {
  method: 'windows';
  stages: StageSpec[];
  seed: number;
  candidate: number;
}

/** See windowed.ts. */
export interface StageSpec extends Sampling {
  network: NetworkName;
  refining?: Refining;
  levels: { region: number; input: LevelInput }[];
}

/** What there is to see of a trajectory, as it is now. */
export interface Views {
  /**
   * The estimates of x_0, the results when it is finished: one, or one for each region of a plan that has been begun. Each
   * time in memory of their own, which may be transferred to another thread.
   */
  readonly fills: Canvas[];
  /** The largest of them. */
  readonly preview: Shown;
  /** The same part as the network saw it in the last step: x_t in the hole, from which the estimate was made. */
  readonly noisy: Shown | undefined;
}

export interface DenoisingTrajectory extends Trajectory, Views {
  /** Of its last step. */
  readonly noiseLevel: NoiseLevel;
}

/** Starts a trajectory at x_T, pure noise. Throws RangeError as createSampler does. */
export function createTrajectory(spec: TrajectorySpec): DenoisingTrajectory {
  const { seed, candidate } = spec;
  if (spec.method === 'windows') {
    return new WindowedTrajectory(
      spec.stages.map(({ network, refining, levels, ...sampling }) => {
        // The sampler is given the average of the windows' estimates of x_0, whatever the network predicts.
        const schedule = scheduleFrom(sampling.schedule);
        const sampler = samplerOf({ ...sampling, prediction: 'sample' }, schedule);
        const {
          prediction,
          sampler: { clip },
        } = sampling;
        const options = { sampler, schedule, prediction, clip, seed, candidate };
        return { network, refining, levels, options };
      }),
    );
  }
  const { method, conditioning, resampling, start } = spec;
  const schedule = scheduleFrom(spec.schedule);
  const all = samplerOf(spec, schedule);
  const sampler = start ? lastSteps(all, start.strength) : all;
  const noised = start && ((noise: Float32Array) => qSample(schedule, start.x0, sampler.timesteps[0], noise));
  const options = { sampler, schedule, conditioning, seed, candidate, noised };
  return method === 'inpaint'
    ? new ConditionalTrajectory(options)
    : new RepaintTrajectory({ ...options, resampling });
}

function samplerOf(
  { prediction, sampler: { name, ...options } }: Omit<Sampling, 'schedule'>,
  schedule: Schedule,
) {
  return createSampler(name, { schedule, prediction, ...options });
}

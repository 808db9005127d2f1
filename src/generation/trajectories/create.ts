import type { PredictionType } from '../../diffusion/prediction.ts';
import { createSampler, type SamplerName, type SamplerOptions } from '../../diffusion/samplers/index.ts';
import { type ScheduleConfig, scheduleFrom } from '../../diffusion/schedule.ts';
import type { Trajectory } from '../../scheduler/trajectory.ts';
import { ConditionalTrajectory, type Conditioning } from './conditional.ts';
import { RepaintTrajectory } from './repaint.ts';

/** What a trajectory is made from, as plain data, so that it can be made in another thread. */
export interface TrajectorySpec {
  /** inpaint: the network is conditioned on the known pixels; none: an unconditional network, with RePaint. */
  method: 'inpaint' | 'none';
  schedule: ScheduleConfig;
  prediction: PredictionType;
  sampler: { name: SamplerName } & Pick<SamplerOptions, 'steps' | 'eta' | 'spacing' | 'finalTimestep'>;
  conditioning: Conditioning;
  seed: number;
  candidate: number;
}

/** A trajectory that tells its estimate of x_0: [3, R, R] in -1..1, the result when it is finished. */
export interface DenoisingTrajectory extends Trajectory {
  readonly x0: Float32Array;
}

/** Starts a trajectory at x_T, pure noise. Throws RangeError as createSampler does. */
export function createTrajectory(spec: TrajectorySpec): DenoisingTrajectory {
  const { method, prediction, conditioning, seed, candidate } = spec;
  const schedule = scheduleFrom(spec.schedule);
  const { name, ...options } = spec.sampler;
  const sampler = createSampler(name, { schedule, prediction, ...options });
  return method === 'inpaint'
    ? new ConditionalTrajectory(sampler, conditioning, seed, candidate)
    : new RepaintTrajectory(sampler, schedule, conditioning, seed, candidate);
}

import { type PredictionType, predictX0 } from '../prediction.ts';
import type { Schedule } from '../schedule.ts';
import { type Spacing, timesteps as visit } from '../timesteps.ts';
import { ddimStep } from './ddim.ts';
import { ddpmStep, type Variance } from './ddpm.ts';
import { dpmpp2mStep } from './dpmpp-2m.ts';
import { levels, type Sampler } from './sampler.ts';

export const SAMPLER_NAMES = ['ddpm', 'ddim', 'dpmpp_2m'] as const;
export type SamplerName = (typeof SAMPLER_NAMES)[number];

export interface SamplerOptions {
  schedule: Schedule;
  /** What the network was trained to predict. */
  prediction: PredictionType;
  /** Number of network evaluations, 1..T. */
  steps: number;
  /** Stochasticity of ddim, 0..1; default 0. Other samplers ignore it. */
  eta?: number;
  /** Default: trailing. */
  spacing?: Spacing;
  /** Timestep at which linspace and log_snr end, 0..T-1; default 0. */
  finalTimestep?: number;
  /** Timestep at which linspace and log_snr start, 0..T-1; default T-1, pure noise. */
  firstTimestep?: number;
  /** Variance of ddpm; default fixed_small. "learned" needs a network with twice the output channels. */
  variance?: Variance;
  /** Whether to clip each estimate of x_0 to -1..1, the range of pixels; default true. */
  clip?: boolean;
}

/** Creates a sampler for a schedule. Throws RangeError as timesteps() does. */
export function createSampler(name: SamplerName, options: SamplerOptions): Sampler {
  const { schedule, prediction: type, eta = 0, variance = 'fixed_small', clip = true } = options;
  const timesteps = visit(
    schedule,
    options.steps,
    options.spacing,
    options.finalTimestep,
    options.firstTimestep,
  );
  return {
    timesteps,
    next(state, prediction, noise) {
      const { x, step } = state;
      const level = levels(schedule.abar, timesteps, step);
      const x0 = predictX0(type, level.abar, x, prediction, clip);
      return { step: step + 1, x: advance(), x0 };

      function advance(): Float32Array {
        switch (name) {
          case 'ddim':
            return ddimStep(level, eta, x, x0, noise);
          case 'ddpm':
            return ddpmStep(level, variance, x, x0, noise, prediction.subarray(x.length));
          case 'dpmpp_2m': {
            const last = state.x0 && { abar: schedule.abar[timesteps[step - 1]], x0: state.x0 };
            return dpmpp2mStep(level, x, x0, last);
          }
        }
      }
    },
  };
}

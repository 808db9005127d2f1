import { z } from 'zod';
import { PREDICTIONS } from '../diffusion/prediction.ts';
import { defaults, MAX_SOURCES, precision, refinerSampling, schedule, source } from './fields.ts';

/**
 * The section of a model card about the refiner, which doubles the resolution of a fill (training/refiner.py). Its input
 * [N, 8, R, R] at the fine resolution: x_t in the hole with known pixels around it, the enlarged coarse fill in the hole
 * with known pixels around it, the mask as -1 or 1, and the level from -1 (0) to 1 (level_max).
 */
export const refiner = z
  .object({
    /** R: side of the windows that the network processes, in pixels. */
    resolution: z.int().min(8).max(1024).multipleOf(8),
    in_channels: z.literal(8),
    out_channels: z.literal(3),
    prediction: z.enum(PREDICTIONS),
    schedule,
    /** Dimensions of the network, for programs that build it from refiner.safetensors. */
    architecture: z
      .object({
        /** Side in pixels of the squares that the first layer combines. */
        patch: z.int().min(1).max(16),
        /** Channels of each level, from the finest to the coarsest; the side is halved between levels. */
        channels: z.array(z.int().min(1).max(4096)).min(1).max(8),
        /** Channels of the timestep embedding. */
        embedding: z.int().min(1).max(4096),
      })
      .optional(),
    /**
     * The level that the network is given when it refines a fill: the standard deviation of the noise in the coarse fill,
     * for values in -1..1 (conditioning augmentation, Ho et al. 2022).
     */
    level: z.number().min(0).max(1),
    /** The largest level in training. */
    level_max: z.number().gt(0).max(1),
    /**
     * Amount of the unsharp mask (x + amount (x - mean of 3 x 3 pixels)) that is applied to the coarse fill before it is
     * enlarged, for a fill as sharp as the known pixels around it: a model's fill is softer than the shrunk pictures of the
     * refiner's training. A softer fill is sharpened more, a sharper one less: see sharpening() in src/generation. 0: none
     * for any fill.
     */
    sharpen: z.number().min(0).max(2).default(0),
    defaults,
    sampling: refinerSampling,
    /** What it was trained on, by source. */
    data: z.array(source).min(1).max(MAX_SOURCES),
    training: z.record(z.string(), z.unknown()).default({}),
    metrics: z.record(z.string(), z.unknown()).default({}),
    precision,
  })
  .superRefine(({ level, level_max, defaults, sampling, schedule: { T } }, context) => {
    const require = (holds: boolean, path: string[], message: string) => {
      if (!holds) context.addIssue({ code: 'custom', path, message });
    };
    require(level <= level_max, ['level'], `must be ${level_max} at most, the level_max`);
    const { spacing, first_timestep: first = T - 1, final_timestep: final } = sampling;
    require(first < T, ['sampling', 'first_timestep'], `must be below ${T}, the schedule's T`);
    require(defaults.steps <= first + 1, [
      'defaults',
      'steps',
    ], `must be ${first + 1} at most, the number of timesteps up to the first one`);
    require(sampling.first_timestep === undefined || spacing === 'log_snr' || spacing === 'linspace', [
      'sampling',
      'first_timestep',
    ], 'needs the spacing linspace or log_snr: others decide themselves where they start');
    require(sampling.variance !== 'learned', [
      'sampling',
      'variance',
    ], 'must not be learned: it has 3 outputs');
    require(final <= first, ['sampling', 'final_timestep'], `must be ${first} at most, the first timestep`);
  });
export type RefinerCard = z.output<typeof refiner>;

import { z } from 'zod';
import { PREDICTIONS } from '../diffusion/prediction.ts';
import { defaults, MAX_SOURCES, precision, sampling, schedule, source } from './fields.ts';

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
    defaults,
    sampling,
    /** What it was trained on, by source. */
    data: z.array(source).min(1).max(MAX_SOURCES),
    training: z.record(z.string(), z.unknown()),
    metrics: z.record(z.string(), z.unknown()),
    precision,
  })
  .superRefine(({ level, level_max, defaults, sampling, schedule: { T } }, context) => {
    const require = (holds: boolean, path: string[], message: string) => {
      if (!holds) context.addIssue({ code: 'custom', path, message });
    };
    require(level <= level_max, ['level'], `must be ${level_max} at most, the level_max`);
    require(defaults.steps <= T, ['defaults', 'steps'], `must be ${T} at most, the schedule's T`);
    require(sampling.variance !== 'learned', [
      'sampling',
      'variance',
    ], 'must not be learned: it has 3 outputs');
    require(sampling.final_timestep < T, [
      'sampling',
      'final_timestep',
    ], `must be below ${T}, the schedule's T`);
  });
export type RefinerCard = z.output<typeof refiner>;

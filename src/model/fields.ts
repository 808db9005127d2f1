import { z } from 'zod';
import { VARIANCES } from '../diffusion/samplers/ddpm.ts';
import { SAMPLER_NAMES } from '../diffusion/samplers/index.ts';
import { type ScheduleConfig, scheduleFrom } from '../diffusion/schedule.ts';
import { SPACINGS } from '../diffusion/timesteps.ts';

/** A schedule has at most so many timesteps, and a fill so many steps. */
export const MAX_TIMESTEPS = 10_000;

/** Number of timesteps. */
const T = z.int().min(1).max(MAX_TIMESTEPS);
/** A variance, or abar: between 0 and 1, both excluded. */
const proportion = z.number().gt(0).lt(1);

/** The noise schedule of a network. */
export const schedule = z
  .discriminatedUnion('type', [
    z.object({
      type: z.literal('cosine'),
      T,
      s: z.number().min(0).max(1).default(0.008),
      abar_min: proportion.default(1e-5),
    }),
    z.object({
      type: z.literal('linear'),
      T,
      beta_start: proportion.default(1e-4),
      beta_end: proportion.default(0.02),
    }),
  ])
  .superRefine((config, context) => {
    if (context.issues.length > 0) return; // T may be too large to compute the schedule
    if (config.type === 'linear' && config.beta_start > config.beta_end) {
      const message = `must be at least beta_start, ${config.beta_start}`;
      context.addIssue({ code: 'custom', path: ['beta_end'], message });
    }
    // Rounding can turn abar into 0 or 1, where samplers would divide by zero.
    const { abar } = scheduleFrom(config);
    if (abar[0] === 1 || abar[config.T - 1] === 0) {
      const message = 'abar must remain between 0 and 1 at every timestep: change T or the betas';
      context.addIssue({ code: 'custom', message });
    }
  }) satisfies z.ZodType<ScheduleConfig>;

/** Sampling parameters of requests that do not give them. steps: 1..T; eta: see the ddim sampler. */
export const defaults = z.object({
  sampler: z.enum(SAMPLER_NAMES),
  steps: z.int().min(1).max(MAX_TIMESTEPS),
  eta: z.number().min(0).max(1),
});

/**
 * Timesteps that samplers visit: how they are spread, and where they end (below T). The variance of ddpm's steps. And
 * whether samplers clip their estimates of x_0 to -1..1.
 */
const samplingFields = z.object({
  spacing: z.enum(SPACINGS).default('trailing'),
  final_timestep: z.int().min(0).lt(MAX_TIMESTEPS).default(0),
  variance: z.enum(VARIANCES).default('fixed_small'),
  clip: z.boolean().default(true),
});

/** The same for the refiner, which may start from the enlarged fill with the noise of a timestep below T - 1. */
export const refinerSampling = samplingFields
  .extend({ first_timestep: z.int().min(0).lt(MAX_TIMESTEPS).optional() })
  .prefault({});

/**
 * RePaint's jumps, for unconditional models (Lugmayr et al. 2022): `jump` steps back, `times` times for each stretch. They
 * use j = r = 10 with 250 steps; the default is a compromise between quality and time.
 */
const resampling = z.object({
  jump: z.int().min(1).max(MAX_TIMESTEPS),
  times: z.int().min(1).max(100),
});

/** The same for the base network, which may be unconditional. */
export const baseSampling = samplingFields
  .extend({ resampling: resampling.default({ jump: 5, times: 3 }) })
  .prefault({});

/** Number format of the weights, and the largest difference of an output from that of the trained fp32 weights. */
export const precision = z.object({
  weights: z.enum(['fp32', 'fp16']),
  max_difference: z.number().min(0).default(0),
});

/** A source of training pictures. */
export const source = z.object({
  name: z.string(),
  licence: z.string(),
  /** Number of training pictures. */
  pictures: z.int32().min(0),
});
export const MAX_SOURCES = 100;

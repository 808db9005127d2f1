import { z } from 'zod';
import { PREDICTIONS } from '../diffusion/prediction.ts';
import { SAMPLER_NAMES } from '../diffusion/samplers/index.ts';
import { type ScheduleConfig, scheduleFrom } from '../diffusion/schedule.ts';
import { SPACINGS } from '../diffusion/timesteps.ts';
import { FEATURES } from '../image/drift.ts';

const MAX_TIMESTEPS = 10_000;

/** Number of timesteps. */
const T = z.int().min(1).max(MAX_TIMESTEPS);
/** A variance, or abar: between 0 and 1, both excluded. */
const proportion = z.number().gt(0).lt(1);

const schedule = z
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

const fields = z.object({
  id: z.string().regex(/^[a-z0-9][a-z0-9._-]*$/),
  version: z.string().regex(/^[0-9]+$/),
  description: z.string(),
  licence: z.string(),
  /** "inpaint": the network also receives the known pixels and the mask (Palette); "none": an unconditional model. */
  conditioning: z.enum(['inpaint', 'none']),
  /** Side of the square pictures that the network processes, in pixels. */
  resolution: z.int().min(8).max(1024),
  /** 3 for the picture, and 1 for the mask where conditioning is "inpaint". */
  in_channels: z.int().min(3).max(4),
  /** 3 for the prediction, and 3 for the variance where the network predicts it. */
  out_channels: z.int().min(3).max(6),
  prediction: z.enum(PREDICTIONS),
  schedule,
  /** Dimensions of the U-Net, for engines that build it from weights.safetensors. */
  architecture: z.object({
    /** Side in pixels of the squares that the first layer combines. */
    patch: z.int().min(1).max(16),
    /** Channels of each level, from the finest to the coarsest; the side is halved between levels. */
    channels: z.array(z.int().min(1).max(4096)).min(1).max(8),
    /** Residual blocks of each level. */
    blocks: z.int().min(1).max(16),
    /** Sides of the feature maps that have self-attention; the coarsest level always has it. */
    attention: z.array(z.int().min(1).max(1024)).max(8),
    /** Channels of each attention head. */
    head_dim: z.int().min(1).max(1024),
    /** Groups of the group normalisation. */
    groups: z.int().min(1).max(1024),
  }),
  /** Sampling parameters of requests that do not give them. steps: 1..T; eta: see the ddim sampler. */
  defaults: z.object({
    sampler: z.enum(SAMPLER_NAMES),
    steps: z.int().min(1).max(MAX_TIMESTEPS),
    eta: z.number().min(0).max(1),
  }),
  /** Timesteps that samplers visit: how they are spread, and where linspace and log_snr end (below T). */
  sampling: z
    .object({
      spacing: z.enum(SPACINGS).default('trailing'),
      final_timestep: z.int().min(0).lt(MAX_TIMESTEPS).default(0),
    })
    .prefault({}),
  data: z.object({
    name: z.string(),
    terms: z.string(),
    /** Number of training pictures. */
    pictures: z.int().min(0),
    /**
     * Mean and standard deviation of each feature over the training pictures, by training/drift.py. Without them, the
     * distance of a request from the training data is not measured.
     */
    statistics: z
      .record(z.enum(FEATURES), z.object({ mean: z.number(), std: z.number().positive() }))
      .optional(),
  }),
  training: z.record(z.string(), z.unknown()),
  metrics: z.record(z.string(), z.unknown()),
  /** Number format of the weights, and the largest difference of an output from that of the trained fp32 weights. */
  precision: z.object({ weights: z.enum(['fp32', 'fp16']), max_difference: z.number().min(0) }),
  /** Size and digest of every other file of the folder that is loaded, by name. */
  files: z.record(
    z.string(),
    z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), bytes: z.int().min(0) }),
  ),
});

/** The contents of `models/<id>/<version>/model.json`: the contract between training and serving. */
export const modelCard = fields.superRefine((card, context) => {
  const { conditioning, in_channels, defaults, schedule, sampling } = card;
  const required = conditioning === 'inpaint' ? 4 : 3;
  if (in_channels !== required) {
    const message = `must be ${required} where conditioning is ${conditioning}`;
    context.addIssue({ code: 'custom', path: ['in_channels'], message });
  }
  if (defaults.steps > schedule.T) {
    const message = `must be ${schedule.T} at most, the schedule's T`;
    context.addIssue({ code: 'custom', path: ['defaults', 'steps'], message });
  }
  if (sampling.final_timestep >= schedule.T) {
    const message = `must be below ${schedule.T}, the schedule's T`;
    context.addIssue({ code: 'custom', path: ['sampling', 'final_timestep'], message });
  }
});
export type ModelCard = z.infer<typeof modelCard>;

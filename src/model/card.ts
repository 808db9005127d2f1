import { z } from 'zod';
import { FEATURES } from '../image/drift.ts';

const fields = z.object({
  id: z.string().regex(/^[a-z0-9][a-z0-9._-]*$/),
  version: z.string().regex(/^[0-9]+$/),
  description: z.string(),
  licence: z.string(),
  /** "inpaint": the network sees known pixels and mask (Palette); "none": an unconditional model. */
  conditioning: z.enum(['inpaint', 'none']),
  /** Side of the square pictures it works on, in pixels. */
  resolution: z.int().min(8).max(1024),
  in_channels: z.int().min(3),
  out_channels: z.int().min(3),
  prediction: z.enum(['epsilon', 'v', 'sample']),
  schedule: z.discriminatedUnion('type', [
    z.object({
      type: z.literal('cosine'),
      T: z.int().min(1),
      s: z.number().default(0.008),
      abar_min: z.number().default(1e-5),
    }),
    z.object({
      type: z.literal('linear'),
      T: z.int().min(1),
      beta_start: z.number().default(1e-4),
      beta_end: z.number().default(0.02),
    }),
  ]),
  /** The U-Net's dimensions, for engines that build it themselves from weights.safetensors. */
  architecture: z.object({
    patch: z.int().min(1),
    channels: z.array(z.int()).min(1),
    blocks: z.int().min(1),
    attention: z.array(z.int()),
    head_dim: z.int(),
    groups: z.int(),
  }),
  defaults: z.object({
    sampler: z.enum(['ddpm', 'ddim', 'dpmpp_2m']),
    steps: z.int().min(1),
    eta: z.number().min(0).max(1),
  }),
  data: z.object({
    name: z.string(),
    terms: z.string(),
    pictures: z.int(),
    /** How the training pictures are distributed, by training/drift.py; without it no distance is measured. */
    statistics: z
      .record(z.enum(FEATURES), z.object({ mean: z.number(), std: z.number().positive() }))
      .optional(),
  }),
  training: z.record(z.string(), z.unknown()),
  metrics: z.record(z.string(), z.unknown()),
  /** Largest difference of an output when the weights on disk (fp16) are used in place of the trained ones. */
  precision: z.object({ weights: z.enum(['fp32', 'fp16']), max_difference: z.number() }),
  /** Every other file of the folder that is loaded, with its digest. */
  files: z.record(z.string(), z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), bytes: z.int() })),
});

/** What `models/<id>/<version>/model.json` says: the whole contract between training and serving. */
export const modelCard = fields.superRefine(({ conditioning, in_channels, defaults, schedule }, context) => {
  const needed = conditioning === 'inpaint' ? 4 : 3; // the picture, and the mask where the network is shown it
  if (in_channels !== needed) {
    const message = `must be ${needed} where conditioning is ${conditioning}`;
    context.addIssue({ code: 'custom', path: ['in_channels'], message });
  }
  if (defaults.steps > schedule.T) {
    const message = `must be ${schedule.T} at most, the schedule's T`;
    context.addIssue({ code: 'custom', path: ['defaults', 'steps'], message });
  }
});
export type ModelCard = z.infer<typeof modelCard>;

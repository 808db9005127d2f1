import { z } from 'zod';
import { PREDICTIONS } from '../diffusion/prediction.ts';
import { FEATURES } from '../image/drift.ts';
import { baseSampling, defaults, MAX_SOURCES, precision, schedule, source } from './fields.ts';
import { refiner } from './refiner.ts';

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
  /** Dimensions of the U-Net, for engines that build it from weights.safetensors. Without them, unet.onnx alone is served. */
  architecture: z
    .object({
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
      /** Attention heads, in place of head_dim channels for each. */
      heads: z.int().min(1).max(1024).optional(),
      /** Between levels: a convolution, or a residual block as in BigGAN. */
      resample: z.enum(['conv', 'biggan']).optional(),
      /** Whether the timestep scales and shifts the second norm of a block; it is added before that norm otherwise. */
      adaptive_norm: z.boolean().optional(),
    })
    .optional(),
  defaults,
  sampling: baseSampling,
  /** The second network, which doubles the resolution of a fill. */
  refiner: refiner.optional(),
  data: z.object({
    name: z.string(),
    terms: z.string(),
    /** Number of training pictures, where it is known. */
    pictures: z.int32().min(0).optional(),
    /** Other training pictures, by source: their number and licence. */
    photographs: z.array(source).max(MAX_SOURCES).optional(),
    /**
     * Mean and standard deviation of each feature over the training pictures, by training/drift.py. Without them, the
     * distance of a request from the training data is not measured.
     */
    statistics: z
      .record(z.enum(FEATURES), z.object({ mean: z.number(), std: z.number().positive() }))
      .optional(),
  }),
  training: z.record(z.string(), z.unknown()).default({}),
  metrics: z.record(z.string(), z.unknown()).default({}),
  precision: precision.prefault({ weights: 'fp32' }),
  /** unet.int8.onnx, for timesteps from from_timestep on; see training/quantise.py. */
  int8: z
    .object({
      from_timestep: z.int().min(0),
      /** Whether it changes the quality of fills by no more than other seeds do. */
      within_noise: z.boolean(),
      metrics: z.record(z.string(), z.unknown()).default({}),
    })
    .optional(),
  /** Size and digest of every other file of the folder that is loaded, by name; a name is no path. */
  files: z.record(
    z.string().regex(/^[A-Za-z0-9][\w.-]*$/),
    z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), bytes: z.int().min(0) }),
  ),
});

/** The contents of `models/<id>/<version>/model.json`: the contract between training and serving. */
export const modelCard = fields.superRefine((card, context) => {
  const { conditioning, in_channels, out_channels, defaults, schedule, sampling } = card;
  const required = conditioning === 'inpaint' ? 4 : 3;
  if (in_channels !== required) {
    const message = `must be ${required} where conditioning is ${conditioning}`;
    context.addIssue({ code: 'custom', path: ['in_channels'], message });
  }
  if (defaults.steps > schedule.T) {
    const message = `must be ${schedule.T} at most, the schedule's T`;
    context.addIssue({ code: 'custom', path: ['defaults', 'steps'], message });
  }
  if (sampling.variance === 'learned' && out_channels !== 6) {
    const message = `must not be learned where out_channels is ${out_channels}: a learned variance takes 6`;
    context.addIssue({ code: 'custom', path: ['sampling', 'variance'], message });
  }
  if (sampling.final_timestep >= schedule.T) {
    const message = `must be below ${schedule.T}, the schedule's T`;
    context.addIssue({ code: 'custom', path: ['sampling', 'final_timestep'], message });
  }
});
export type ModelCard = z.infer<typeof modelCard>;

/** How a version is named: id@version. */
export const refOf = ({ id, version }: Pick<ModelCard, 'id' | 'version'>) => `${id}@${version}`;

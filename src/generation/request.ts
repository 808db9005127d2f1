import type { SamplerName } from '../diffusion/samplers/index.ts';
import type { MaskReading } from '../image/mask-reading.ts';
import type { OutputFormat, Size } from '../image/picture.ts';
import type { Priority } from '../scheduler/policy.ts';
import type { Strategy } from './parameters.ts';

export const TASKS = ['inpaint', 'sample'] as const;

/** What becomes of the EXIF of an image. */
export const METADATA = ['strip', 'keep'] as const;

/**
 * A generation request as plain data, validated, under the names that clients use. A job store can keep it, and what an
 * answer or a picture's metadata says can be sent again as it is. An absent value is taken from the model's card.
 */
export interface SampleRequest {
  task: 'sample';
  /** `id` or `id@version`; the default model when absent. */
  model?: string;
  /** 0..2^32-1; drawn at random when absent. */
  seed?: number;
  /** Candidates, 1..10. */
  num_images: number;
  sampler?: SamplerName;
  /** 1..T of the model's schedule. */
  steps?: number;
  /** 0..1, DDIM's share of fresh noise. */
  eta?: number;
  priority: Priority;
  /** A preview with the progress every so many steps; 0: never. */
  preview_every: number;
  /** With each preview, the noisy picture that it was estimated from; none when absent. */
  preview_noisy?: boolean;
  format?: OutputFormat;
  /** 1..100, for jpeg and webp. */
  quality?: number;
  /** Size of the results, of the picture's proportions; its own when absent. */
  size?: Size;
  /** Whole pictures on the way to the first candidate, 0..3; none when absent. */
  partial_images?: number;
  /** The encoded picture to start from, in place of pure noise (SDEdit, Meng et al. 2022). */
  image?: Buffer;
  /** Share of the denoising steps that are taken when starting from a picture, above 0 and up to 1. */
  strength?: number;
}

export interface InpaintRequest extends Omit<SampleRequest, 'task' | 'image' | 'strength'> {
  task: 'inpaint';
  /** The picture as an encoded file. */
  image: Buffer;
  /** The mask as an encoded file; the picture's transparent pixels when absent. */
  mask?: Buffer;
  /** What says where the hole is in the mask: its luminance when absent. */
  mask_reading?: MaskReading;
  /** Whether filled pixels keep the alpha of the image; they become opaque when absent. */
  keep_alpha?: boolean;
  strategy: Strategy;
  /** Pixels of context around the hole when cropping; as many as the hole is large when absent. */
  padding?: number;
  /** Pixels by which the hole is grown, -256..256; negative: shrunk. */
  mask_grow: number;
  /** Pixels over which the fill fades in, inside the hole. */
  mask_blur: number;
  /** Whether the answer contains the EXIF of the image. */
  metadata: (typeof METADATA)[number];
}

export type GenerationRequest = SampleRequest | InpaintRequest;

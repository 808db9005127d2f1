import type { SamplerName } from '../diffusion/samplers/index.ts';
import type { Box, Mask, Picture } from '../image/picture.ts';

/** How the hole is brought to the size of the network's pictures: see region.ts and image/regions/plan.ts. */
export const STRATEGIES = ['auto', 'windows', 'crop', 'resize'] as const;
export type Strategy = (typeof STRATEGIES)[number];

/** How pictures are generated, with no defaults left to fill in. */
export interface SamplingParameters {
  /** 0..2^32-1; each candidate of a seed has a noise stream of its own. */
  seed: number;
  /** Candidates, 1..10. */
  numImages: number;
  sampler: SamplerName;
  /** 1..T */
  steps: number;
  /** 0..1, DDIM's share of fresh noise. */
  eta: number;
}

export interface InpaintParameters extends SamplingParameters {
  /** Pixels over which the fill fades in, inside the hole. */
  maskBlur: number;
  /** Whether filled pixels keep the picture's alpha. */
  keepAlpha?: boolean;
}

/** A picture with the hole to fill. */
export interface HoledPicture {
  picture: Picture;
  /** The picture's size. */
  mask: Mask;
  /** The mask's bounding box, and its share of the pixels, 0..1. */
  hole: { box: Box; fraction: number };
}

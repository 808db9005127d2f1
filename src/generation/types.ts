import type { SamplerName } from '../diffusion/samplers/index.ts';
import type { Features } from '../image/drift.ts';
import type { Box, Mask, Picture } from '../image/picture.ts';
import type { Priority } from '../scheduler/policy.ts';

/** How pictures are drawn, all resolved: no defaults left to fill in. */
export interface SamplingParameters {
  /** 0..2^32-1; candidate n of a seed has a noise stream of its own. */
  seed: number;
  /** Candidates, 1..8. */
  numImages: number;
  sampler: SamplerName;
  /** 1..T */
  steps: number;
  /** 0..1; DDIM's share of fresh noise. */
  eta: number;
}

export interface InpaintParameters extends SamplingParameters {
  strategy: 'auto' | 'crop' | 'resize';
  /** Pixels of context around the hole's bounding box (crop); as much as the hole is large when absent. */
  padding?: number;
  /** Feathering in pixels, inside the hole only. */
  maskBlur: number;
}

export interface Progress {
  /** Evaluations done and to do, over all candidates. */
  step: number;
  of: number;
  /** The first candidate as the network now believes it to be: [3, R, R] in -1..1, the region shown to the model. */
  estimate(): Float32Array;
  /** Where that region lies in the picture (inpainting). */
  box?: Box;
}

export interface Options {
  priority?: Priority;
  /** Aborting frees the slots at the next step; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** The room that the scheduler keeps for this request. */
  place?: () => void;
  onProgress?: (progress: Progress) => void;
}

export interface Timings {
  /** Milliseconds from admission to the first evaluation, denoising, and putting the picture together. */
  queueMs: number;
  denoiseMs: number;
  compositeMs: number;
}

export interface SampleResult {
  pictures: Picture[];
  timings: Timings;
}

export interface InpaintResult extends SampleResult {
  /** The strategy taken and the region of the picture that was shown to the model. */
  strategy: 'crop' | 'resize';
  box: Box;
  /** Share of the picture's pixels in the hole, 0..1. */
  maskFraction: number;
  /** Of the pixels that the model was shown; undefined where it saw next to none. */
  features?: Features;
  /** Standard deviation across candidates, 0 outside the hole; when there were several. */
  uncertainty?: Mask;
}

export interface InpaintRequest {
  picture: Picture;
  mask: Mask;
  parameters: InpaintParameters;
}

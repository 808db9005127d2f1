import type { SamplerName } from '../diffusion/samplers/index.ts';
import type { Features } from '../image/drift.ts';
import type { Box, Mask, Picture } from '../image/picture.ts';
import type { Reservation } from '../scheduler/admission.ts';
import type { Priority } from '../scheduler/policy.ts';
import type { Preview } from './preview.ts';
import type { Region } from './region.ts';

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

export interface Progress {
  /** Evaluations done and to do, over all candidates. */
  step: number;
  total: number;
  /** Milliseconds since the first evaluation began. */
  elapsedMs: number;
  /** Of the first candidate's last step: its timestep, and the share of the signal's variance in x_t there. */
  timestep: number;
  abar: number;
  /** What the first candidate looks like now: the part that is being filled, made smaller if it is large, and the whole picture. */
  estimate(): Promise<Preview>;
  /** The x_t that the estimate was made from, noise in the hole; undefined where it is large. */
  noisy(): Promise<Preview | undefined>;
  whole(): Promise<Picture>;
}

export interface GenerationOptions {
  priority?: Priority;
  /** Aborting stops at the next step; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Room in the model's queue; reserved on the spot when absent. */
  reservation?: Reservation;
  onProgress?: (progress: Progress) => void;
}

export interface Timings {
  /** Milliseconds from admission to the first evaluation, of denoising, and of putting the pictures together. */
  queueMs: number;
  denoiseMs: number;
  compositeMs: number;
}

export interface SampleResult {
  /** A picture for each candidate. */
  pictures: Picture[];
  timings: Timings;
}

export interface InpaintResult extends SampleResult {
  /** How the hole was filled. */
  region: Region;
  /** The part of the picture that was shown to the model. */
  box: Box;
  /** Of the known pixels that the model was shown; undefined where there are next to none. */
  features?: Features;
  /** Standard deviation across candidates, 0 outside the hole; when there are several candidates. */
  uncertainty?: Mask;
}

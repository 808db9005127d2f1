import type { Features } from '../image/drift.ts';
import type { Box, Mask, Picture } from '../image/picture.ts';
import type { Region } from './region.ts';

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

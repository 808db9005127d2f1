import type { Fill } from '../image/composite.ts';
import type { Box } from '../image/picture.ts';
import type { InpaintResult } from './result.ts';
import type { TrajectorySpec } from './trajectories/create.ts';
import type { Canvas } from './trajectories/enlarge.ts';
import type { Shown } from './trajectories/shown.ts';

/** What is denoised to fill a hole, and where the results belong in the picture. */
export interface FillSpec extends Pick<InpaintResult, 'box' | 'features'> {
  /** One for each candidate. */
  specs: TrajectorySpec[];
  /** The box of the picture that a canvas covers; it may extend beyond the picture. */
  boxOf(canvas: Shown['canvas']): Box;
  /** Where in the picture a filled canvas belongs. */
  fillOf(canvas: Canvas): Fill;
}

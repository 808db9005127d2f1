import type { Box, Picture } from '../image/picture.ts';
import type { Reservation } from '../scheduler/admission.ts';
import type { Priority } from '../scheduler/policy.ts';

/** What a picture, or the part of it that is being filled, looks like now. */
export interface Preview {
  /** [3, height, width] in -1..1: the current estimate of x_0; or x_t, which exceeds that range. */
  x0: Float32Array;
  width: number;
  height: number;
  /** Where it lies in the picture (inpainting). It may extend beyond the right and bottom edges. */
  box?: Box;
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

/**
 * One image on its way from noise to a picture, as the scheduler sees it: something that wants its row evaluated,
 * a known number of times. It never waits and knows nothing of batches.
 */
export interface Trajectory {
  /** Evaluations it takes in all. */
  readonly of: number;
  /** Evaluations done; `of` when it is finished. */
  readonly step: number;
  /** The network's input for the current step: x [C, H, W] and its timestep. */
  input(): { x: Float32Array; t: number };
  /** Takes the network's output [C_out, H, W] for that input, and moves one step on. */
  advance(prediction: Float32Array): void;
}

/**
 * The path of one image from noise to a picture, as the scheduler sees it: a known number of evaluations, one after the
 * other. It does not know about batches.
 */
export interface Trajectory {
  /** Evaluations it takes in all. */
  readonly total: number;
  /** Evaluations done; `total` when it is finished. */
  readonly step: number;
  /** The network's input for the current step: x [C, R, R] and its timestep t. */
  input(): { x: Float32Array; t: number };
  /**
   * Takes the network's output [C_out, R, R] for that input, and moves one step on: at once, or when the promise resolves.
   * `prediction` is valid only until the call returns.
   */
  advance(prediction: Float32Array): void | Promise<void>;
}

import type { NetworkName } from '../engine/engine.ts';

/**
 * The path of one image from noise to a picture, as the scheduler sees it: a number of steps, each of one or several rows
 * that are evaluated in any order, together or one by one. It does not know about batches.
 */
export interface Trajectory {
  /** Evaluations it takes in all: rows, over all steps. */
  readonly total: number;
  /** Evaluations done; `total` when it is finished. */
  readonly step: number;
  /** Rows of the current step, at least 1: one for each window of the picture that is denoised. */
  readonly rows: number;
  /** The network that evaluates the current step. */
  readonly network: NetworkName;
  /**
   * The network's input for a row of the current step: x [C, R, R] and its timestep t. `row`: 0..rows-1. x does not change
   * until that row has been advanced.
   */
  input(row: number): { x: Float32Array; t: number };
  /**
   * Takes the network's output [C_out, R, R] for that row. The last row of a step moves the trajectory one step on: at
   * once, or when the promise resolves. `prediction` is valid only until the call returns.
   */
  advance(prediction: Float32Array, row: number): void | Promise<void>;
}

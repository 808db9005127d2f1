/**
 * Rows for one evaluation of the network. Timesteps differ per row: that is what makes step-level batching possible.
 */
export interface Batch {
  /** Number of rows, N >= 1. */
  rows: number;
  /** [N, C, H, W], C the model's input channels, H = W its resolution. */
  x: Float32Array;
  /** [N], each in 0..T-1. */
  t: Float32Array;
}

export type EngineName = 'onnx' | 'tfjs';
export type DeviceName = 'cpu' | 'webgpu' | 'cuda';

export interface EngineInfo {
  engine: EngineName;
  device: DeviceName;
  /** What the hardware calls itself, for people. */
  deviceName: string;
  precision: 'fp32' | 'fp16';
  /** Rows an evaluation should have: more gains nothing. */
  bestBatch: number;
  /** Evaluations that run side by side. */
  workers: number;
}

/** Evaluates one model's network. */
export interface Engine {
  readonly info: EngineInfo;
  /** Resolves to the prediction [N, C_out, H, W]. Rejects with EngineError; the rows are untouched then. */
  evaluate(batch: Batch): Promise<Float32Array>;
  close(): Promise<void>;
}

/** The network could not be evaluated: not the request's fault. */
export class EngineError extends Error {
  override name = 'EngineError';
}

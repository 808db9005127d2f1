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
export type DeviceName = 'cpu' | 'webgpu' | 'cuda' | 'tensorrt';

export interface EngineInfo {
  engine: EngineName;
  device: DeviceName;
  /** What the hardware calls itself, for people. */
  deviceName: string;
  /** Memory of the device in bytes, where it is known. */
  deviceMemoryBytes?: number;
  /** The npm package that evaluates. */
  library: string;
  precision: 'fp32' | 'fp16';
  /** Rows an evaluation should have: more gains nothing. */
  bestBatch: number;
  /** Processes that evaluate side by side. */
  workers: number;
  /** Why so many, for people. */
  workersReason?: string;
}

export interface EvaluateOptions {
  /** No other work is waiting: the evaluation may take every core. */
  alone?: boolean;
}

/** Evaluates one model's network, in worker processes. */
export interface Engine {
  readonly info: EngineInfo;
  /** Workers that can evaluate now, of info.workers. */
  readonly alive: number;
  /** Called whenever `alive` has changed. */
  onAlive: (() => void) | undefined;
  /**
   * Resolves to the prediction [N, C_out, H, W], a row the same bits in whatever batch (on a CPU; on a GPU to the
   * engine's stated tolerance). Rejects with EngineError; an evaluation has no side effects and may be asked again.
   */
  evaluate(batch: Batch, options?: EvaluateOptions): Promise<Float32Array>;
  close(): Promise<void>;
}

/** The network could not be evaluated: not the request's fault. */
export class EngineError extends Error {
  override name = 'EngineError';
}

/**
 * The device or its memory failed under a network: whatever it evaluates from now on would fail too, or be wrong. Its
 * worker has to be replaced.
 */
export class DeviceError extends EngineError {
  override name = 'DeviceError';
}

/**
 * The networks of a model version. base: draws the fill at the model's resolution; refiner: doubles the resolution of a
 * fill. Every version has a base network.
 */
export const NETWORK_NAMES = ['base', 'refiner'] as const;
export type NetworkName = (typeof NETWORK_NAMES)[number];

/** Rows for one evaluation of a network. Each row has its own timestep, which makes step-level batching possible. */
export interface Batch {
  /** The network that evaluates all of the rows. */
  network: NetworkName;
  /** Number of rows, N >= 1. */
  rows: number;
  /** [N, C, R, R], row-major: C is the network's number of input channels, R its resolution. */
  x: Float32Array;
  /** [N], timesteps in 0..T-1. */
  t: Float32Array;
}

/** Number format of evaluations. */
export const PRECISIONS = ['fp32', 'int8'] as const;
export type Precision = (typeof PRECISIONS)[number];

export type EngineName = 'onnx' | 'tfjs';
export type DeviceName = 'cpu' | 'webgpu' | 'cuda' | 'tensorrt';

/** For each network, the time of an evaluation per row, in seconds. */
export type RowSeconds = Partial<Record<NetworkName, number>>;

export interface EngineInfo {
  engine: EngineName;
  device: DeviceName;
  /** Name of the CPU or GPU, for people to read. */
  deviceName: string;
  /** Memory of the GPU in bytes, where it is known. */
  deviceMemoryBytes?: number;
  /** The npm package that evaluates the networks. */
  library: string;
  /** The networks that it evaluates: an engine may serve fewer than the model version has. */
  networks: NetworkName[];
  /** int8: of a CPU, for the timesteps where the network has it; the others are fp32. */
  precision: Precision;
  /** Most rows that one evaluation should have, measured on the base network: larger batches cost as much per row. */
  bestBatch: number;
  /** Worker processes. Each runs one evaluation at a time. */
  workers: number;
  /** Why there are that many, for people to read. */
  workersReason?: string;
}

export interface EvaluateOptions {
  /** Nothing else is waiting or running, so this evaluation may use every core. The result is the same. */
  exclusive?: boolean;
}

/** Evaluates the networks of one model version in worker processes. */
export interface Engine {
  readonly info: EngineInfo;
  /** Workers that can evaluate now, 0..info.workers. */
  readonly alive: number;
  /** As measured lately, with all workers busy or with one evaluation on every core: what a row takes of the machine's time. */
  readonly rowSeconds: RowSeconds;
  /** Called after every change of `alive`. */
  onAliveChange: (() => void) | undefined;
  /**
   * Resolves to the prediction, [N, C_out, R, R]. On a CPU a row's result has the same bits in every batch; on a GPU it
   * is the same within the engine's tolerance. Rejects with EngineError, also for a network that is not in info.networks.
   * An evaluation has no side effects, so it may be repeated.
   */
  evaluate(batch: Batch, options?: EvaluateOptions): Promise<Float32Array>;
  close(): Promise<void>;
}

/** A network could not be loaded or evaluated. The request is not at fault. */
export class EngineError extends Error {
  override name = 'EngineError';
}

/**
 * The device failed, or its memory ran out. Later evaluations in the same process would fail too or return wrong
 * numbers, so the worker has to be replaced.
 */
export class DeviceError extends EngineError {
  override name = 'DeviceError';
}

import type { Batch, DeviceName, EngineName } from './engine.ts';

/** A library that evaluates networks, and the device it uses. */
export interface Runtime {
  engine: EngineName;
  device: DeviceName;
  /** The npm package. */
  library: string;
  /** Refuse a GPU driver that computes on the CPU, such as SwiftShader or llvmpipe. */
  hardwareOnly?: boolean;
}

/** What the U-Net's weights do not tell about its architecture. */
export interface Architecture {
  /** The network folds patch x patch pixels into one spatial position. */
  patch: number;
  /** Channels of one attention head. */
  head_dim: number;
  /** Groups of each group normalisation. */
  groups: number;
}

/** Everything a worker needs to load a network: plain data that is sent over IPC. */
export interface NetworkSpec extends Runtime {
  /** Absolute path of the model version's folder. */
  folder: string;
  architecture: Architecture;
  inChannels: number;
  outChannels: number;
  /** R: the network's pictures are R x R. */
  resolution: number;
  /** Threads of an exclusive evaluation (CPU). */
  threads: number;
  /** Most rows of an evaluation; chosen at warm-up when absent. */
  maxBatch?: number;
}

/** A network loaded in a worker process. */
export interface Network {
  deviceName: string;
  /** Bytes, where it is known. */
  deviceMemoryBytes?: number;
  /** It computes on the CPU whatever the device is called: a GPU driver in software. */
  software?: boolean;
  precision: 'fp32' | 'fp16';
  /**
   * Resolves to the prediction, [N, C_out, R, R]. An exclusive evaluation may use all threads; the bits are the same.
   * Rejects with DeviceError when the network is unusable from now on, with another error when only this batch failed.
   */
  evaluate(batch: Batch, exclusive: boolean): Promise<Float32Array>;
}

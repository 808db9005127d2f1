import type { Batch, DeviceName, EngineName } from './engine.ts';

/** What evaluates a network, and where. */
export interface Runtime {
  engine: EngineName;
  device: DeviceName;
  /** The npm package that does the work. */
  library: string;
  /** Only on a real GPU: not on a Vulkan driver that computes on the CPU. */
  hardware?: boolean;
}

/** What the weights alone do not say of the U-Net. */
export interface Architecture {
  /** patch x patch pixels are one position of the network's. */
  patch: number;
  /** Channels of an attention head. */
  head_dim: number;
  /** Groups of a group normalisation. */
  groups: number;
}

/** What a worker needs to load a network; plain data, sent over IPC. */
export interface NetworkSpec extends Runtime {
  /** Absolute path of the model's folder. */
  folder: string;
  architecture: Architecture;
  inChannels: number;
  outChannels: number;
  resolution: number;
  /** Threads of an evaluation that has the machine to itself (CPU). */
  threads: number;
  /** Rows an evaluation has at most; measured at warm-up when absent. */
  maxBatch?: number;
}

/** A loaded network inside a worker process. */
export interface Network {
  deviceName: string;
  /** Bytes, where it is known. */
  deviceMemoryBytes?: number;
  precision: 'fp32' | 'fp16';
  /**
   * [N, C_out, H, W]. `alone`: may take all threads; the bits are the same. Rejects with DeviceError when the network
   * cannot be used any more.
   */
  evaluate(batch: Batch, alone: boolean): Promise<Float32Array>;
}

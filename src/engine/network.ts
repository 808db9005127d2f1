import type { Batch, DeviceName, EngineName } from './engine.ts';

/** What a worker needs to load a network; plain data, sent over IPC. */
export interface NetworkSpec {
  /** Absolute path of the model's folder. */
  folder: string;
  engine: EngineName;
  device: DeviceName;
  inChannels: number;
  outChannels: number;
  resolution: number;
  /** Threads of an evaluation that has the machine to itself (CPU). */
  threads: number;
}

/** A loaded network inside a worker process. */
export interface Network {
  deviceName: string;
  precision: 'fp32' | 'fp16';
  /** [N, C_out, H, W]. `alone`: may take all threads; the bits are the same. */
  evaluate(batch: Batch, alone: boolean): Promise<Float32Array>;
}

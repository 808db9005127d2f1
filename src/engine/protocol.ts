import type { Batch, EngineInfo } from './engine.ts';
import type { NetworkSpec } from './network.ts';

/** What a worker says of itself once its network is loaded and warm. */
export interface Loaded
  extends Pick<EngineInfo, 'deviceName' | 'deviceMemoryBytes' | 'precision' | 'bestBatch'> {
  /** Memory of the worker's process. */
  rssBytes: number;
}

/** What the HTTP process and its workers say to each other, over Node's IPC channel. */
export type ToWorker =
  | { type: 'load'; spec: NetworkSpec }
  | { type: 'evaluate'; id: number; batch: Batch; alone: boolean };

export type FromWorker =
  | ({ type: 'loaded' } & Loaded)
  | { type: 'load-failed'; message: string }
  | { type: 'result'; id: number; prediction: Float32Array; seconds: number }
  | { type: 'error'; id: number; message: string }
  /** The network cannot be used any more. */
  | { type: 'lost'; message: string };

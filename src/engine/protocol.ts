import type { Batch, EngineInfo, RowSeconds } from './engine.ts';
import type { NetworkSpec } from './network.ts';

/** What a worker reports once its networks are loaded and warm. */
export interface Loaded
  extends Pick<EngineInfo, 'deviceName' | 'deviceMemoryBytes' | 'precision' | 'networks' | 'bestBatch'> {
  /** Resident memory of the worker's process, in bytes. */
  rssBytes: number;
  /** Measured while it warmed up. */
  rowSeconds: RowSeconds;
}

/** Messages from the HTTP process to a worker, over Node's IPC channel. */
export type ToWorker =
  | { type: 'load'; spec: NetworkSpec }
  | { type: 'evaluate'; id: number; batch: Batch; exclusive: boolean }
  /** Asks an idle worker whether it still answers. */
  | { type: 'ping' };

/** Messages from a worker to the HTTP process. */
export type FromWorker =
  | ({ type: 'loaded' } & Loaded)
  | { type: 'load-failed'; message: string }
  | { type: 'pong' }
  | { type: 'result'; id: number; prediction: Float32Array; seconds: number }
  /** This evaluation failed; the worker goes on. */
  | { type: 'error'; id: number; message: string }
  /** The device failed; the worker has to be replaced. */
  | { type: 'device-failed'; message: string };

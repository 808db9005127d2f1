import type { Batch, EngineInfo } from './engine.ts';
import type { NetworkSpec } from './network.ts';

/** What the HTTP process and its workers say to each other, over Node's IPC channel. */
export type ToWorker =
  | { type: 'load'; spec: NetworkSpec }
  | { type: 'evaluate'; id: number; batch: Batch; alone: boolean };

export type FromWorker =
  | { type: 'loaded'; deviceName: string; precision: EngineInfo['precision']; bestBatch: number }
  | { type: 'load-failed'; message: string }
  | { type: 'result'; id: number; prediction: Float32Array; seconds: number }
  | { type: 'error'; id: number; message: string };

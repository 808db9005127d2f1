import type { EngineInfo } from '../engine/engine.ts';
import type { ModelCard } from '../model/card.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';

/** available: found and intact, loads on first use. */
export type ModelState = 'available' | 'loading' | 'ready' | 'failed';

/** A model version as the service sees it. */
export interface ServedModel {
  /** id@version */
  readonly ref: string;
  readonly card: ModelCard;
  /** sha256 of unet.onnx. */
  readonly digest: string;
  readonly state: ModelState;
  /** Why it failed. */
  readonly reason?: string;
  /** Once it is loaded. */
  readonly engine?: EngineInfo;
  readonly workers?: { alive: number; total: number };
  readonly scheduler?: Scheduler;
  /** Loads it if it is not loaded yet. Rejects with EngineError when it cannot be. */
  open(): Promise<{ scheduler: Scheduler; engine: EngineInfo }>;
}

import { EngineError, type EngineInfo, type NetworkName, type RowSeconds } from '../engine/engine.ts';
import type { ModelCard } from '../model/card.ts';
import { namesOf } from '../model/networks.ts';
import type { Admission } from '../scheduler/admission.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';

/** available: not loaded; loads on first use. failed: the last attempt to load it failed; the next use tries again. */
export const MODEL_STATES = ['available', 'loading', 'ready', 'failed'] as const;
export type ModelState = (typeof MODEL_STATES)[number];

/** A model version cannot be loaded: its files or its network are unsuitable, or no runtime starts. */
export class ModelLoadError extends EngineError {
  override name = 'ModelLoadError';
  /** id@version */
  readonly ref: string;
  constructor(ref: string, cause: Error) {
    super(cause.message, { cause });
    this.ref = ref;
  }
}

/** A model version, as the layers above the registry use it. */
export interface ServedModel {
  /** id@version */
  readonly ref: string;
  readonly card: ModelCard;
  /** When its card was written. */
  readonly created: Date;
  /** Identifies its networks: see networksDigest(). */
  readonly digest: string;
  readonly state: ModelState;
  /** Why it failed to load; undefined unless state is "failed". */
  readonly reason?: string;
  /** Who may enter its queue, whether it is loaded or not. */
  readonly admission: Admission;
  /** Its engine or, while it is not loaded, the one that it had last. */
  readonly lastEngine?: EngineInfo;
  /** Those that its engine evaluates, as soon as that is known; one that is not loaded may turn out to serve the base alone. */
  readonly networks?: readonly NetworkName[];
  /** These three are defined while it is loaded. */
  readonly engine?: EngineInfo;
  readonly workers?: { alive: number; total: number };
  readonly scheduler?: Scheduler;
  /** Seconds of an evaluation on this machine, per row, as measured lately; undefined until it has been loaded once. */
  readonly rowSeconds?: RowSeconds;
  /** Loads it unless it is loaded. Rejects with ModelLoadError when that fails. */
  open(): Promise<{ scheduler: Scheduler; engine: EngineInfo }>;
}

/** The networks that can fill a hole: those of the card, unless its engine is known to serve fewer. */
export function usableNetworks({
  card,
  networks,
}: Pick<ServedModel, 'card' | 'networks'>): readonly NetworkName[] {
  return networks ?? namesOf(card);
}

import { statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { whyAbsent } from '../engine/absent.ts';
import {
  type Batch,
  EngineError,
  type EngineInfo,
  type NetworkName,
  type RowSeconds,
} from '../engine/engine.ts';
import { FallbackEngine } from '../engine/fallback.ts';
import { hasFastInt8, type PrecisionChoice } from '../engine/int8.ts';
import type { Runtime } from '../engine/network.ts';
import { type PoolOptions, WorkerPool } from '../engine/pool.ts';
import { fallbacks, type RuntimeChoice, runtimes } from '../engine/runtimes.ts';
import { readTuning, tuningKey, writeTuning } from '../engine/tuning.ts';
import type { LossCause } from '../engine/worker-process.ts';
import { usableCores } from '../machine.ts';
import { type ModelCard, refOf } from '../model/card.ts';
import { verifyDigests } from '../model/folder.ts';
import { networksDigest, networksOf } from '../model/networks.ts';
import { Admission, type QueueLimits } from '../scheduler/admission.ts';
import { Scheduler } from '../scheduler/scheduler.ts';
import { ModelLoadError, type ModelState, type ServedModel } from './served-model.ts';

/** Callbacks for metrics and the log; all optional. */
export interface ModelHooks {
  /** A batch was dispatched. */
  onBatch?(card: ModelCard, rows: number): void;
  /** A worker evaluated a batch in `seconds`. */
  onEvaluation?(card: ModelCard, engine: EngineInfo, batch: Batch, seconds: number): void;
  /** A worker process ended and is being replaced; `reason` completes the sentence "a worker ...". */
  onRestart?(card: ModelCard, reason: string, cause: LossCause): void;
  /** The replacement of a worker, or another runtime in place of failing workers, did not start; it is tried again later. */
  onReplaceFailed?(card: ModelCard, reason: string): void;
  /** Its workers are warm and it can answer requests. */
  onLoaded?(card: ModelCard, engine: EngineInfo): void;
  /** A runtime does not work on this machine; the next one is tried. */
  onRuntimeSkipped?(card: ModelCard, runtime: Runtime, reason: string): void;
  /** The workers of `from` kept failing; `to` replaced it. */
  onFallback?(card: ModelCard, from: EngineInfo, to: EngineInfo, why: string): void;
  /** A version became available, was refused because it cannot be served, or was removed. */
  onReload?(ref: string, result: 'loaded' | 'refused' | 'removed'): void;
}

/** Interval at which a retired version checks whether it has finished its requests. */
const DRAIN_CHECK_MS = 500;
/** After how long a default version that failed to load is tried again: the reason may have passed. */
export const RETRY_FAILED_MS = 5 * 60_000;

export interface EngineSettings extends RuntimeChoice {
  /** Of evaluations on a CPU; fp32 when absent. */
  precision?: PrecisionChoice;
  /** Maximum number of rows in an evaluation; chosen at warm-up when absent. */
  maxBatch?: number;
  /** Whether to switch to the next runtime when the workers keep failing. */
  fallback?: boolean;
  /** Folder where what a start measures is kept for the next one; nothing is kept when absent. */
  cacheDir?: string;
  /** Deadlines and program of the workers, other than the usual ones; for tests. */
  workers?: Pick<PoolOptions, 'deadlines' | 'entry'>;
}

export interface ModelOptions {
  engine: EngineSettings;
  queue: QueueLimits;
  hooks?: ModelHooks;
}

/** One model folder. It is loaded on first use and then has its own workers and scheduler. */
export class ModelVersion implements ServedModel {
  readonly card: ModelCard;
  readonly folder: string;
  readonly created: Date;
  state: ModelState = 'available';
  reason: string | undefined;
  readonly admission: Admission;
  scheduler: Scheduler | undefined;
  pool: FallbackEngine | undefined;
  /** When it was last known to have work, in milliseconds of performance.now(). */
  lastUsedMs = performance.now();
  #failedMs = 0;
  readonly #settings: EngineSettings;
  readonly #hooks: ModelHooks;
  /** The closed pool after unload(): it still knows how long a row takes. */
  #unloaded: FallbackEngine | undefined;
  #opening: Promise<{ scheduler: Scheduler; engine: EngineInfo }> | undefined;
  #closed = false;

  constructor(folder: string, card: ModelCard, { engine, queue, hooks = {} }: ModelOptions) {
    this.folder = path.resolve(folder);
    this.card = card;
    // The folder may be gone again: the registry finds out.
    this.created = statSync(path.join(folder, 'model.json'), { throwIfNoEntry: false })?.mtime ?? new Date(0);
    this.#settings = engine;
    this.#hooks = hooks;
    this.admission = new Admission(queue);
  }

  get ref(): string {
    return refOf(this.card);
  }

  /** Whether it failed to load in the last minutes. After that, it is worth another try. */
  get failedRecently(): boolean {
    return this.state === 'failed' && performance.now() - this.#failedMs < RETRY_FAILED_MS;
  }

  get digest(): string {
    return networksDigest(this.card);
  }

  get engine(): EngineInfo | undefined {
    return this.pool?.info;
  }

  get lastEngine(): EngineInfo | undefined {
    return (this.pool ?? this.#unloaded)?.info;
  }

  get networks(): readonly NetworkName[] | undefined {
    return this.lastEngine?.networks ?? (this.#settings.engine === 'tfjs' ? ['base'] : undefined); // TensorFlow.js serves it alone
  }

  get rowSeconds(): RowSeconds | undefined {
    return (this.pool ?? this.#unloaded)?.rowSeconds;
  }

  get workers(): { alive: number; total: number; pids: number[] } | undefined {
    const pool = this.pool;
    return pool && { alive: pool.alive, total: pool.info.workers, pids: pool.pids };
  }

  /** Loaded, and at least one worker is alive and not late with an answer. */
  get isHealthy(): boolean {
    return this.state === 'ready' && (this.pool?.responsive ?? 0) > 0;
  }

  open(): Promise<{ scheduler: Scheduler; engine: EngineInfo }> {
    // A request that found this version before a reload may come only now: its workers have ended.
    if (this.#closed) return Promise.reject(new EngineError(`${this.ref} is no longer served`));
    this.lastUsedMs = performance.now();
    this.#opening ??= this.#load().catch((error) => {
      this.state = 'failed';
      this.#failedMs = performance.now();
      this.reason = error.message;
      this.#opening = undefined; // the next request tries again
      throw new ModelLoadError(this.ref, error);
    });
    return this.#opening;
  }

  /** open() rejects from now on. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening?.catch(() => {});
    await this.pool?.close();
  }

  /** Ends the workers; the next open() starts them again. Call it only while the state is ready and the scheduler idle. */
  async unload(): Promise<void> {
    const { pool } = this;
    this.#opening = undefined;
    this.#unloaded = pool;
    this.pool = undefined;
    this.scheduler = undefined;
    this.state = 'available';
    await pool?.close();
  }

  /** Waits until all requests of this version are finished, then closes it. New requests must not reach it. */
  async retire(): Promise<void> {
    await this.#opening?.catch(() => {});
    do await sleep(DRAIN_CHECK_MS, undefined, { ref: false });
    while (!this.admission.idle);
    await this.close();
  }

  async #load() {
    const { card, folder } = this;
    this.state = 'loading';
    await verifyDigests(folder, card);
    const pool = await FallbackEngine.start({
      candidates: runtimes(this.#settings),
      fallbacks: (failed) => (this.#settings.fallback ? fallbacks(this.#settings, failed) : []),
      start: (runtime, options) => this.#start(runtime, options),
      onRuntimeSkipped: (runtime, reason) => this.#hooks.onRuntimeSkipped?.(card, runtime, reason),
      onFallback: (from, to, why) => this.#hooks.onFallback?.(card, from, to, why),
      onFallbackFailed: (reason) => this.#hooks.onReplaceFailed?.(card, reason),
    });
    this.pool = pool;
    this.scheduler = new Scheduler({
      engine: pool,
      admission: this.admission,
      onBatch: (rows) => this.#hooks.onBatch?.(card, rows),
    });
    this.state = 'ready';
    this.reason = undefined;
    this.#hooks.onLoaded?.(card, pool.info);
    return {
      scheduler: this.scheduler,
      get engine() {
        return pool.info; // not copied: a fallback replaces it
      },
    };
  }

  async #start(runtime: Runtime, options: Partial<PoolOptions>): Promise<WorkerPool> {
    const { card, folder } = this;
    const { device, maxBatch, cacheDir, precision = 'fp32' } = this.#settings;
    const absent = device === 'auto' ? whyAbsent(runtime) : undefined;
    if (absent) throw new EngineError(absent);
    const int8 = usesInt8(runtime, card, precision);
    const key = tuningKey(runtime, int8 ? `${this.digest}+int8` : this.digest, maxBatch);
    const tuned = cacheDir ? await readTuning(cacheDir, key) : undefined;
    const pool = await WorkerPool.start({
      tuned,
      ...this.#settings.workers,
      ...options,
      spec: {
        ...runtime,
        folder,
        networks: networksOf(card, { int8 }),
        threads: usableCores(),
        maxBatch,
      },
      // If a file has changed since the version was loaded, a new worker would evaluate a different network.
      beforeReplacing: () => verifyDigests(folder, card),
      onEvaluation: (batch, seconds) => this.#hooks.onEvaluation?.(card, pool.info, batch, seconds),
      onRestart: (reason, cause) => this.#hooks.onRestart?.(card, reason, cause),
      onReplaceFailed: (reason) => this.#hooks.onReplaceFailed?.(card, reason),
    });
    if (cacheDir) await writeTuning(cacheDir, key, pool.tuning);
    return pool;
  }
}

/** Whether the version's workers evaluate in int8 on this runtime. */
function usesInt8({ engine, device }: Runtime, { int8 }: ModelCard, precision: PrecisionChoice): boolean {
  if (!int8 || engine !== 'onnx' || device !== 'cpu') return false;
  return precision === 'int8' || (precision === 'auto' && int8.within_noise && hasFastInt8());
}

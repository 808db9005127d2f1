import type { Batch, Engine, EngineInfo, EvaluateOptions, RowSeconds } from './engine.ts';
import type { Runtime } from './network.ts';
import type { PoolOptions, WorkerPool } from './pool.ts';
import { startFirst } from './runtimes.ts';

export interface FallbackOptions {
  /** Runtimes to start on, in order of preference. */
  candidates: Runtime[];
  /** Runtimes that may replace one whose workers keep failing. When empty, the failed one is restarted indefinitely. */
  fallbacks: (failed: Runtime) => Runtime[];
  start: (runtime: Runtime, options: Pick<PoolOptions, 'onFailing'>) => Promise<WorkerPool>;
  /** Called for a runtime that does not start, when there is another to try. */
  onRuntimeSkipped?: (runtime: Runtime, reason: string) => void;
  onFallback?: (from: EngineInfo, to: EngineInfo, reason: string) => void;
  /** Called when no runtime could replace one whose workers keep failing, for another reason than the last time. */
  onFallbackFailed?: (reason: string) => void;
}

/**
 * The engine of the first runtime that starts. When its workers keep failing, another runtime replaces it and evaluates
 * the batches that were in flight, so that callers only wait.
 */
export class FallbackEngine implements Engine {
  onAliveChange: (() => void) | undefined;
  readonly #options: FallbackOptions;
  /** Undefined until the first has started. */
  #pool!: WorkerPool;
  #switching = false;
  /** Why no other runtime started when that was last tried. */
  #lastFailure = '';
  #closed = false;

  /** Rejects with the last runtime's EngineError when none starts. */
  static async start(options: FallbackOptions): Promise<FallbackEngine> {
    const engine = new FallbackEngine(options);
    await engine.#startOn(options.candidates);
    return engine;
  }

  private constructor(options: FallbackOptions) {
    this.#options = options;
  }

  get info(): EngineInfo {
    return this.#pool.info;
  }

  get rowSeconds(): RowSeconds {
    return this.#pool.rowSeconds;
  }

  get alive(): number {
    return this.#pool.alive;
  }

  get responsive(): number {
    return this.#pool.responsive;
  }

  get pids(): number[] {
    return this.#pool.pids;
  }

  async evaluate(batch: Batch, options?: EvaluateOptions): Promise<Float32Array> {
    const pool = this.#pool;
    try {
      return await pool.evaluate(batch, options);
    } catch (error) {
      if (pool === this.#pool) throw error;
      return await this.#pool.evaluate(batch, options); // the pool was replaced in the meantime
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#pool.close();
  }

  async #startOn(candidates: Runtime[]): Promise<void> {
    const { start, onRuntimeSkipped = () => {} } = this.#options;
    const onFailing = (reason: string) => void this.#fallBack(reason);
    const pool = await startFirst(candidates, (runtime) => start(runtime, { onFailing }), onRuntimeSkipped);
    if (this.#closed) await pool.close();
    this.#pool = pool;
    pool.onAliveChange = () => this.onAliveChange?.();
  }

  /** Replaces the pool, which has no worker and keeps failing, where another runtime starts. Never rejects. */
  async #fallBack(reason: string): Promise<void> {
    const failed = this.#pool;
    if (!failed) return; // it has not started yet: whoever starts it learns of the failure
    const candidates = this.#options.fallbacks(failed.info);
    if (this.#switching || candidates.length === 0) return;
    this.#switching = true;
    try {
      await this.#startOn(candidates);
      failed.onAliveChange = undefined;
      this.#options.onFallback?.(failed.info, this.info, reason);
      this.onAliveChange?.();
      await failed.close();
    } catch (error) {
      // No other runtime starts. The pool goes on restarting its workers and calls this again after the next failure.
      const { message } = error as Error;
      if (message !== this.#lastFailure) this.#options.onFallbackFailed?.(message);
      this.#lastFailure = message;
    } finally {
      this.#switching = false;
    }
  }
}

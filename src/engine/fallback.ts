import type { Batch, Engine, EngineInfo, EvaluateOptions } from './engine.ts';
import type { Runtime } from './network.ts';
import type { PoolOptions, WorkerPool } from './pool.ts';
import { firstToStart } from './runtimes.ts';

export interface FallbackOptions {
  /** What to start on, the first that works. */
  candidates: Runtime[];
  /** What may take over from a runtime whose workers keep failing; none: it is tried again for as long as it takes. */
  fallbacks: (failed: Runtime) => Runtime[];
  start: (runtime: Runtime, options: Pick<PoolOptions, 'onFailing'>) => Promise<WorkerPool>;
  /** A runtime that does not work here. */
  onPassedOver?: (runtime: Runtime, why: string) => void;
  onFallback?: (from: EngineInfo, to: EngineInfo, why: string) => void;
}

/**
 * The engine of the first runtime that starts. When its workers keep failing, another takes its place: what was being
 * evaluated is evaluated there, so that requests only wait.
 */
export class FallbackEngine implements Engine {
  onAlive: (() => void) | undefined;
  readonly #options: FallbackOptions;
  #pool!: WorkerPool;
  #changing = false;
  #closed = false;

  /** Rejects with EngineError, the last runtime's, when none starts. */
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

  get alive(): number {
    return this.#pool.alive;
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
      return await this.#pool.evaluate(batch, options); // it has been replaced meanwhile
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#pool.close();
  }

  async #startOn(candidates: Runtime[]): Promise<void> {
    const { start, onPassedOver = () => {} } = this.#options;
    const onFailing = (why: string) => void this.#fallBack(why);
    const pool = await firstToStart(candidates, (runtime) => start(runtime, { onFailing }), onPassedOver);
    if (this.#closed) await pool.close();
    this.#pool = pool;
    pool.onAlive = () => this.onAlive?.();
  }

  /** The pool has no worker and keeps failing: another takes its place where there is one. Never rejects. */
  async #fallBack(why: string): Promise<void> {
    const failed = this.#pool;
    const candidates = this.#options.fallbacks(failed.info);
    if (this.#changing || candidates.length === 0) return;
    this.#changing = true;
    try {
      await this.#startOn(candidates);
      failed.onAlive = undefined;
      this.#options.onFallback?.(failed.info, this.info, why);
      this.onAlive?.();
      await failed.close();
    } catch {
      // None starts: the pool goes on trying, and this is called again when it fails again.
    } finally {
      this.#changing = false;
    }
  }
}

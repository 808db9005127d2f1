import { type Batch, type Engine, EngineError, type EngineInfo, type EvaluateOptions } from './engine.ts';
import type { NetworkSpec } from './network.ts';
import { type Loaded, WorkerProcess } from './worker-process.ts';

export interface PoolOptions {
  spec: NetworkSpec;
  workers: number;
  /** Overrides the best batch found at warm-up. */
  maxBatch?: number;
  /** First wait before a dead worker is replaced; doubles up to a minute while replacements keep dying. */
  restartDelayMs?: number;
  /** Before a dead worker is replaced; rejecting puts it off, as a replacement that dies does. */
  beforeReplacing?: () => Promise<void>;
  onEvaluation?: (rows: number, seconds: number) => void;
  onRestart?: (how: string) => void;
}

const RESTART_DELAY_MS = 200;
const LONGEST_RESTART_DELAY_MS = 60_000;

/**
 * An Engine over worker processes. A worker that dies is replaced, with back-off; what it was evaluating is
 * evaluated once more by another, so nobody notices.
 */
export class WorkerPool implements Engine {
  readonly info: EngineInfo;
  onAlive: (() => void) | undefined;
  readonly #options: PoolOptions;
  readonly #alive = new Set<WorkerProcess>();
  readonly #starting = new Set<WorkerProcess>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #restartDelayMs: number;
  #closed = false;

  /** Starts the workers and waits until all are warm. Rejects with EngineError when the network cannot be loaded. */
  static async start(options: PoolOptions): Promise<WorkerPool> {
    const first = await startWorker(options.spec);
    const pool = new WorkerPool(options, first.loaded);
    pool.#adopt(first);
    // The first has measured the best batch undisturbed; the others may load at once.
    try {
      await Promise.all(Array.from({ length: options.workers - 1 }, () => pool.#startAnother()));
    } catch (error) {
      await pool.close(); // all or none: no process is left behind
      throw error;
    }
    return pool;
  }

  private constructor(options: PoolOptions, { deviceName, precision, bestBatch }: Loaded) {
    const { spec, workers, maxBatch } = options;
    this.#options = options;
    this.#restartDelayMs = options.restartDelayMs ?? RESTART_DELAY_MS;
    this.info = {
      engine: spec.engine,
      device: spec.device,
      deviceName,
      precision,
      bestBatch: maxBatch ?? bestBatch,
      workers,
    };
  }

  get alive(): number {
    return this.#alive.size;
  }

  /** Process ids of the live workers, for operators and tests. */
  get pids(): number[] {
    return [...this.#alive].flatMap((worker) => worker.pid ?? []);
  }

  async evaluate(batch: Batch, { alone = false }: EvaluateOptions = {}): Promise<Float32Array> {
    const worker = leastLoaded(this.#alive);
    if (!worker) throw new EngineError('no worker is alive');
    try {
      return await this.#evaluateOn(worker, batch, alone);
    } catch (error) {
      const other = leastLoaded(this.#alive, worker);
      if (this.#closed || !other) throw error;
      return await this.#evaluateOn(other, batch, alone);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all([...this.#alive, ...this.#starting].map((worker) => worker.close()));
  }

  async #evaluateOn(worker: WorkerProcess, batch: Batch, alone: boolean): Promise<Float32Array> {
    const { prediction, seconds } = await worker.evaluate(batch, alone);
    this.#options.onEvaluation?.(batch.rows, seconds);
    this.#restartDelayMs = this.#options.restartDelayMs ?? RESTART_DELAY_MS;
    return prediction;
  }

  async #startAnother(): Promise<void> {
    const started = await startWorker(this.#options.spec, this.#starting);
    if (this.#closed) await started.worker.close();
    else this.#adopt(started);
  }

  #adopt({ worker, exited }: Started) {
    this.#alive.add(worker);
    this.onAlive?.();
    void exited.then((how) => {
      this.#alive.delete(worker);
      if (this.#closed) return;
      this.onAlive?.();
      this.#options.onRestart?.(how);
      this.#replaceLater();
    });
  }

  async #replace(): Promise<void> {
    await this.#options.beforeReplacing?.();
    if (!this.#closed) await this.#startAnother();
  }

  #replaceLater() {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#replace().catch(() => {
        if (!this.#closed) this.#replaceLater();
      });
    }, this.#restartDelayMs);
    this.#timers.add(timer);
    this.#restartDelayMs = Math.min(this.#restartDelayMs * 2, LONGEST_RESTART_DELAY_MS);
  }
}

interface Started {
  worker: WorkerProcess;
  loaded: Loaded;
  exited: Promise<string>;
}

async function startWorker(spec: NetworkSpec, starting = new Set<WorkerProcess>()): Promise<Started> {
  let exit: (how: string) => void = () => {};
  const exited = new Promise<string>((resolve) => {
    exit = resolve;
  });
  const worker = new WorkerProcess(spec, (how) => exit(how));
  starting.add(worker);
  try {
    return { worker, exited, loaded: await worker.loaded };
  } catch (error) {
    await worker.close(); // a process whose network did not load is of no use
    throw error;
  } finally {
    starting.delete(worker);
  }
}

/** The worker with the least to do; `avoid` only when there is no other. */
function leastLoaded(workers: ReadonlySet<WorkerProcess>, avoid?: WorkerProcess): WorkerProcess | undefined {
  const rank = (worker: WorkerProcess) => (worker === avoid ? Number.MAX_VALUE : worker.load);
  let best: WorkerProcess | undefined;
  for (const worker of workers) if (!best || rank(worker) < rank(best)) best = worker;
  return best;
}

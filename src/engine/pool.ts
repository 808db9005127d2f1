import { type Batch, type Engine, EngineError, type EngineInfo, type EvaluateOptions } from './engine.ts';
import type { NetworkSpec } from './network.ts';
import type { Loaded } from './protocol.ts';
import { mostWorkers, throughput, WORTHWHILE } from './worker-count.ts';
import { WorkerProcess } from './worker-process.ts';

export interface PoolOptions {
  spec: NetworkSpec;
  /** How many; when absent as many as pay, found out at start. */
  workers?: number;
  /** First wait before a dead worker is replaced; doubles up to a minute while replacements keep dying. */
  restartDelayMs?: number;
  /** How long an evaluation waits for a replacement when its worker, the only one, has died. */
  patienceMs?: number;
  /** The worker's program; tests put one that fails here. */
  entry?: URL;
  /** No worker is left, and those that were started one after another have failed or died without a result. */
  onFailing?: (how: string) => void;
  /** Before a dead worker is replaced; rejecting puts it off, as a replacement that dies does. */
  beforeReplacing?: () => Promise<void>;
  onEvaluation?: (rows: number, seconds: number) => void;
  onRestart?: (how: string) => void;
}

const RESTART_DELAY_MS = 200;
const LONGEST_RESTART_DELAY_MS = 60_000;
const PATIENCE_MS = 30_000;
/** Deaths and failed starts without a result between them, after which the workers are said to keep failing. */
const FAILURES = 3;

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
  /** Evaluations that wait for a worker. */
  readonly #waiting = new Set<(worker: WorkerProcess | EngineError) => void>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #restartDelayMs: number;
  /** Since the last result. */
  #failures = 0;
  #closed = false;

  /** Starts the workers and waits until all are warm. Rejects with EngineError when the network cannot be loaded. */
  static async start(options: PoolOptions): Promise<WorkerPool> {
    const first = await startWorker(options);
    const pool = new WorkerPool(options, first.loaded);
    pool.#adopt(first);
    // The first has measured the best batch undisturbed; the others may load at once.
    try {
      if (options.workers) await pool.#grow(options.workers - 1);
      else await pool.#growWhileItPays(first.loaded.rssBytes);
    } catch (error) {
      await pool.close(); // all or none: no process is left behind
      throw error;
    }
    return pool;
  }

  private constructor(options: PoolOptions, loaded: Loaded) {
    const { spec, workers = 1 } = options;
    const { engine, device, library } = spec;
    const { deviceName, deviceMemoryBytes, precision, bestBatch } = loaded;
    this.#options = options;
    this.#restartDelayMs = options.restartDelayMs ?? RESTART_DELAY_MS;
    this.info = { engine, device, deviceName, deviceMemoryBytes, library, precision, bestBatch, workers };
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
      if (this.#closed) throw error;
      return await this.#evaluateOn(await this.#another(worker), batch, alone);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const give of this.#waiting) give(new EngineError('the workers were closed'));
    await Promise.all([...this.#alive, ...this.#starting].map((worker) => worker.close()));
  }

  /** A worker other than `than` if there is one; when none is left, the first that comes. */
  #another(than: WorkerProcess): Promise<WorkerProcess> {
    const other = leastLoaded(this.#alive, than);
    if (other) return Promise.resolve(other);
    return new Promise((resolve, reject) => {
      const give = (worker: WorkerProcess | EngineError) => {
        clearTimeout(timer);
        this.#waiting.delete(give);
        if (worker instanceof EngineError) reject(worker);
        else resolve(worker);
      };
      const late = () => give(new EngineError('the worker died, and none came in its place in time'));
      const timer = setTimeout(late, this.#options.patienceMs ?? PATIENCE_MS);
      this.#waiting.add(give);
    });
  }

  async #evaluateOn(worker: WorkerProcess, batch: Batch, alone: boolean): Promise<Float32Array> {
    const { prediction, seconds } = await worker.evaluate(batch, alone);
    this.#options.onEvaluation?.(batch.rows, seconds);
    this.#restartDelayMs = this.#options.restartDelayMs ?? RESTART_DELAY_MS;
    this.#failures = 0;
    return prediction;
  }

  async #grow(by: number): Promise<void> {
    await Promise.all(Array.from({ length: by }, () => this.#startAnother()));
    this.info.workers = this.#alive.size;
  }

  /** Doubles the workers for as long as they get clearly more done, up to what the machine has room for. */
  async #growWhileItPays(rssBytes: number): Promise<void> {
    const { spec } = this.#options;
    const { most, reason } = mostWorkers(spec, rssBytes);
    this.info.workersReason = reason;
    let rowsPerSecond = most > 1 ? await throughput([...this.#alive], spec) : 0;
    while (this.info.workers < most) {
      const fewer = this.info.workers;
      await this.#grow(Math.min(fewer, most - fewer));
      const faster = (await throughput([...this.#alive], spec)) / rowsPerSecond;
      if (faster < WORTHWHILE) {
        this.info.workersReason = `${this.info.workers} are only ${faster.toFixed(2)} times as fast`;
        await this.#shrink(fewer);
        return;
      }
      rowsPerSecond *= faster;
    }
  }

  async #shrink(to: number): Promise<void> {
    const surplus = [...this.#alive].slice(to);
    for (const worker of surplus) this.#alive.delete(worker);
    this.info.workers = to;
    await Promise.all(surplus.map((worker) => worker.close()));
  }

  async #startAnother(): Promise<void> {
    const started = await startWorker(this.#options, this.#starting);
    if (this.#closed) await started.worker.close();
    else this.#adopt(started);
  }

  #adopt({ worker, exited }: Started) {
    this.#alive.add(worker);
    for (const give of this.#waiting) give(worker);
    this.onAlive?.();
    void exited.then((how) => {
      if (!this.#alive.delete(worker) || this.#closed) return; // it was no longer wanted
      this.onAlive?.();
      this.#options.onRestart?.(how);
      this.#failed(how);
      this.#replaceLater();
    });
  }

  #failed(how: string) {
    this.#failures++;
    if (this.#failures >= FAILURES && this.alive === 0) this.#options.onFailing?.(how);
  }

  async #replace(): Promise<void> {
    await this.#options.beforeReplacing?.();
    if (!this.#closed) await this.#startAnother();
  }

  #replaceLater() {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#replace().catch((error) => {
        if (this.#closed) return;
        this.#failed((error as Error).message);
        this.#replaceLater();
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

async function startWorker(
  { spec, entry }: PoolOptions,
  starting = new Set<WorkerProcess>(),
): Promise<Started> {
  let exit: (how: string) => void = () => {};
  const exited = new Promise<string>((resolve) => {
    exit = resolve;
  });
  const worker = new WorkerProcess(spec, (how) => exit(how), entry);
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

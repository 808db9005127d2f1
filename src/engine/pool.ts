import { DEADLINES, type Deadlines } from './deadlines.ts';
import {
  type Batch,
  type Engine,
  EngineError,
  type EngineInfo,
  type EvaluateOptions,
  type RowSeconds,
} from './engine.ts';
import { isLarge } from './large.ts';
import type { NetworkSpec } from './network.ts';
import type { Loaded } from './protocol.ts';
import { Speed } from './speed.ts';
import type { Tuning } from './tuning.ts';
import { workerCount } from './worker-count.ts';
import { type LossCause, WorkerLostError, WorkerProcess } from './worker-process.ts';

export interface PoolOptions {
  spec: NetworkSpec;
  /** Number of workers; chosen by workerCount() when absent. */
  workers?: number;
  /** What an earlier start has measured: all workers start at once then. */
  tuned?: Tuning;
  /**
   * Delay before a dead worker is replaced, in milliseconds. It doubles, up to a minute, while replacements do not start or
   * die without a result.
   */
  restartDelayMs?: number;
  /** After how long a worker that does not answer is killed and replaced. Tests change them while workers run. */
  deadlines?: Deadlines;
  /** How long an evaluation whose worker died waits for another worker, in milliseconds. */
  replacementTimeoutMs?: number;
  /** The worker's program; tests put a failing one here. */
  entry?: URL;
  /** Called when no worker is left and several in a row failed to start or died without a result. */
  onFailing?: (reason: string) => void;
  /** Called before a dead worker is replaced. A rejection counts as a failed start: the pool tries again later. */
  beforeReplacing?: () => Promise<void>;
  onEvaluation?: (batch: Batch, seconds: number) => void;
  /** Called when a worker ended and will be replaced; `reason` completes the sentence "a worker ...". */
  onRestart?: (reason: string, cause: LossCause) => void;
  /** Called when a replacement could not be started for another reason than the last time. */
  onReplaceFailed?: (reason: string) => void;
}

const RESTART_DELAY_MS = 200;
const MAX_RESTART_DELAY_MS = 60_000;
const REPLACEMENT_TIMEOUT_MS = 30_000;
/** Failed starts and deaths without a result in between, after which the pool reports that its workers keep failing. */
const MAX_FAILURES = 3;
/** Workers that may be lost while they evaluate the same batch before it fails. */
const MAX_LOSSES = 3;

/**
 * An Engine over worker processes. A worker that dies or hangs is replaced, with exponential back-off, and the batches
 * that it was evaluating are evaluated again by another worker, so that callers only wait.
 */
export class WorkerPool implements Engine {
  readonly info: EngineInfo;
  /** What the workers have measured while they loaded. */
  readonly tuning: Tuning;
  onAliveChange: (() => void) | undefined;
  readonly #options: PoolOptions;
  readonly #speed: Speed;
  readonly #alive = new Set<WorkerProcess>();
  readonly #starting = new Set<WorkerProcess>();
  /** Workers that have given a result. */
  readonly #proven = new WeakSet<WorkerProcess>();
  /** Evaluations that wait for a worker. */
  readonly #waiting = new Set<(worker: WorkerProcess | EngineError) => void>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Why the last replacement could not be started; empty once one has. */
  #lastFailure = '';
  /** Since the last result. */
  #failures = 0;
  #closed = false;

  /**
   * Starts the workers and waits until all of them are warm. The first one tells how much memory a worker takes and the
   * best batch size, for all, unless that is known from an earlier start. Rejects with EngineError when a network cannot be
   * loaded.
   */
  static async start(options: PoolOptions): Promise<WorkerPool> {
    const { spec, workers, tuned } = options;
    const counted = (workerBytes: number) => workerCount(spec.device, workerBytes, isLarge(spec));
    const maxBatch = spec.maxBatch ?? tuned?.bestBatch;
    const atOnce = tuned ? (workers ?? counted(tuned.rssBytes).workers) : 1;
    const started = await startAll(atOnce, { ...options, spec: { ...spec, maxBatch } });
    const [{ loaded }] = started;
    const chosen = workers ? { workers } : counted(loaded.rssBytes);
    const pool = new WorkerPool(options, loaded, chosen);
    for (const each of started.slice(0, chosen.workers)) pool.#add(each);
    try {
      await Promise.all(started.slice(chosen.workers).map(({ worker }) => worker.close()));
      const missing = Math.max(0, chosen.workers - atOnce);
      await Promise.all(Array.from({ length: missing }, () => pool.#startAnother()));
    } catch (error) {
      await pool.close(); // all or none: no process is left behind
      throw error;
    }
    return pool;
  }

  private constructor(
    options: PoolOptions,
    { deviceName, deviceMemoryBytes, precision, networks, bestBatch, rssBytes, rowSeconds }: Loaded,
    { workers, reason }: { workers: number; reason?: string },
  ) {
    const { engine, device, library } = options.spec;
    // The other workers and replacements get the same batch size: nothing is measured twice.
    this.#options = { ...options, spec: { ...options.spec, maxBatch: bestBatch } };
    this.tuning = { bestBatch, rssBytes };
    // Every worker evaluates rows of its own.
    const perWorker = Object.entries(rowSeconds).map(([network, seconds]) => [network, seconds / workers]);
    this.#speed = new Speed(Object.fromEntries(perWorker));
    this.info = {
      engine,
      device,
      deviceName,
      deviceMemoryBytes,
      library,
      precision,
      networks,
      bestBatch,
      workers,
      workersReason: reason,
    };
  }

  get rowSeconds(): RowSeconds {
    return this.#speed.rowSeconds;
  }

  get alive(): number {
    return this.#alive.size;
  }

  /** Live workers that are not late with an answer. */
  get responsive(): number {
    return [...this.#alive].filter((worker) => !worker.isLate).length;
  }

  /** Process ids of the live workers, for operators and tests. */
  get pids(): number[] {
    return [...this.#alive].flatMap((worker) => worker.pid ?? []);
  }

  async evaluate(batch: Batch, { exclusive = false }: EvaluateOptions = {}): Promise<Float32Array> {
    const { engine, networks } = this.info;
    if (!networks.includes(batch.network))
      throw new EngineError(`the engine ${engine} does not serve the network ${batch.network} of this model`);
    let worker = leastLoaded(this.#alive);
    if (!worker) throw new EngineError('no worker is alive');
    for (let failures = 1; ; failures++) {
      try {
        return await this.#evaluateOn(worker, batch, exclusive);
      } catch (error) {
        // A batch that fails on two workers that live on will fail on the next one too.
        const maxFailures = error instanceof WorkerLostError ? MAX_LOSSES : 2;
        if (this.#closed || failures >= maxFailures) throw error;
        worker = await this.#otherWorker(worker);
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const settle of this.#waiting) settle(new EngineError('the workers were closed'));
    await Promise.all([...this.#alive, ...this.#starting].map((worker) => worker.close()));
  }

  /**
   * Another worker than `failed` if one is alive and answers; `failed` if it is the only one; else the first that starts.
   */
  #otherWorker(failed: WorkerProcess): Promise<WorkerProcess> {
    const other = leastLoaded(this.#alive, failed);
    if (other && !other.isLate) return Promise.resolve(other);
    return new Promise((resolve, reject) => {
      const settle = (worker: WorkerProcess | EngineError) => {
        clearTimeout(timer);
        this.#waiting.delete(settle);
        if (worker instanceof EngineError) reject(worker);
        else resolve(worker);
      };
      const expire = () => settle(new EngineError('the worker died, and no replacement started in time'));
      const timer = setTimeout(expire, this.#options.replacementTimeoutMs ?? REPLACEMENT_TIMEOUT_MS);
      this.#waiting.add(settle);
    });
  }

  async #evaluateOn(worker: WorkerProcess, batch: Batch, exclusive: boolean): Promise<Float32Array> {
    this.#speed.begin();
    const { prediction, seconds } = await worker.evaluate(batch, exclusive).finally(() => this.#speed.end());
    this.#options.onEvaluation?.(batch, seconds);
    const ofMachine = exclusive ? seconds : seconds / this.info.workers;
    this.#speed.add(batch.network, ofMachine / batch.rows);
    this.#proven.add(worker);
    this.#failures = 0;
    return prediction;
  }

  /** delayMs: how long the start was delayed. */
  async #startAnother(delayMs = 0): Promise<void> {
    const started = await startWorker(this.#options, this.#starting);
    if (this.#closed) await started.worker.close();
    else this.#add(started, delayMs);
  }

  #add({ worker, exited }: Started, delayMs = 0) {
    this.#alive.add(worker);
    this.#lastFailure = '';
    for (const settle of this.#waiting) settle(worker);
    this.onAliveChange?.();
    void exited.then(({ how, lossCause }) => {
      this.#alive.delete(worker);
      if (this.#closed) return;
      this.onAliveChange?.();
      this.#options.onRestart?.(how, lossCause);
      this.#countFailure(how);
      this.#replaceLater(this.#proven.has(worker) ? 0 : delayMs);
    });
  }

  #countFailure(reason: string) {
    this.#failures++;
    if (this.#failures >= MAX_FAILURES && this.alive === 0) this.#options.onFailing?.(reason);
  }

  async #replace(delayMs: number): Promise<void> {
    await this.#options.beforeReplacing?.();
    if (!this.#closed) await this.#startAnother(delayMs);
  }

  /** lastMs: the delay before the last attempt to replace this worker, which was in vain; 0 if there was none. */
  #replaceLater(lastMs: number) {
    const { restartDelayMs = RESTART_DELAY_MS, onRestart, onReplaceFailed } = this.#options;
    const delayMs = lastMs === 0 ? restartDelayMs : Math.min(lastMs * 2, MAX_RESTART_DELAY_MS);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#replace(delayMs).catch((error: Error) => {
        if (this.#closed) return;
        if (error instanceof WorkerLostError) onRestart?.(error.how, error.lossCause);
        else if (error.message !== this.#lastFailure) onReplaceFailed?.(error.message);
        this.#lastFailure = error.message;
        this.#countFailure(error.message);
        this.#replaceLater(delayMs);
      });
    }, delayMs);
    this.#timers.add(timer);
  }
}

interface Started {
  worker: WorkerProcess;
  loaded: Loaded;
  /** Resolves to why and how it ended. */
  exited: Promise<WorkerLostError>;
}

/** Starts workers at once; all or none. Rejects as startWorker does. */
async function startAll(count: number, options: PoolOptions): Promise<Started[]> {
  const all = await Promise.allSettled(Array.from({ length: count }, () => startWorker(options)));
  const started = all.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
  const failed = all.find((each) => each.status === 'rejected');
  if (!failed) return started;
  await Promise.all(started.map(({ worker }) => worker.close()));
  throw failed.reason;
}

/** Starts a worker and waits until it is warm; it is in `starting` until then. Rejects with EngineError. */
async function startWorker(
  { spec, entry, deadlines = DEADLINES }: PoolOptions,
  starting = new Set<WorkerProcess>(),
): Promise<Started> {
  let onLost: (loss: WorkerLostError) => void = () => {};
  const exited = new Promise<WorkerLostError>((resolve) => {
    onLost = resolve;
  });
  const worker = new WorkerProcess({ spec, entry, deadlines, onLost });
  starting.add(worker);
  try {
    return { worker, exited, loaded: await worker.loaded };
  } catch (error) {
    await worker.close(); // a process without a network is of no use
    throw error;
  } finally {
    starting.delete(worker);
  }
}

/** The worker with the fewest evaluations in flight; a late one, and then `avoid`, only when there is no other. */
function leastLoaded(workers: ReadonlySet<WorkerProcess>, avoid?: WorkerProcess): WorkerProcess | undefined {
  const rank = (worker: WorkerProcess) => {
    if (worker === avoid) return Number.POSITIVE_INFINITY;
    return worker.isLate ? Number.MAX_VALUE : worker.load;
  };
  let best: WorkerProcess | undefined;
  for (const worker of workers) if (!best || rank(worker) < rank(best)) best = worker;
  return best;
}

import { type ChildProcess, fork } from 'node:child_process';
import os from 'node:os';
import { entryPoint } from '../entry-point.ts';
import {
  type Deadlines,
  evaluationDeadlineMs,
  loadDeadlineMs,
  megabytesIn,
  Silence,
  slowestRecently,
} from './deadlines.ts';
import { type Batch, EngineError, type NetworkName, type RowSeconds } from './engine.ts';
import { isLarge, LARGE_NICENESS } from './large.ts';
import type { NetworkSpec } from './network.ts';
import type { FromWorker, Loaded, ToWorker } from './protocol.ts';

const ENTRY = entryPoint(import.meta.url, 'worker');
/** Characters kept of what a worker writes to stderr while it loads; the end says most. */
const STDERR_TAIL_LENGTH = 2000;

export interface Evaluation {
  prediction: Float32Array;
  /** Time inside the worker, without the IPC. */
  seconds: number;
}

/** Why a worker ended: its process exited or could not be started, its device failed, or it did not answer before a deadline. */
export const LOSS_CAUSES = ['exited', 'device', 'hung'] as const;
export type LossCause = (typeof LOSS_CAUSES)[number];

/** The worker ended before it had answered. `how` completes the sentence "the worker ...". */
export class WorkerLostError extends EngineError {
  readonly how: string;
  readonly lossCause: LossCause;

  constructor(how: string, lossCause: LossCause) {
    super(`the worker ${how}`);
    this.how = how;
    this.lossCause = lossCause;
  }
}

export interface WorkerProcessOptions {
  spec: NetworkSpec;
  deadlines: Deadlines;
  /** The worker's program. */
  entry?: URL;
  /** Called once, with why and how the process ended, after every pending evaluation has been rejected. */
  onLost: (loss: WorkerLostError) => void;
}

/** Processes that have not exited. None may outlive this one, not even one that is stopped and ignores its channel. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

interface PendingEvaluation {
  network: NetworkName;
  rows: number;
  resolve(evaluation: Evaluation): void;
  reject(error: EngineError): void;
}

/** Throws WorkerLostError where the system has no room for a process. */
function startProcess(entry: URL): ChildProcess {
  try {
    return fork(entry, {
      serialization: 'advanced', // typed arrays are sent as bytes, not as JSON
      execArgv: ENTRY.execArgv,
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      // Otherwise onnxruntime writes a device id to the home directory and reports its use over the network.
      env: { ORT_DISABLE_TELEMETRY: '1', ...process.env },
    });
  } catch (error) {
    throw notStarted(error as Error);
  }
}

const notStarted = ({ message }: Error) => new WorkerLostError(`could not be started: ${message}`, 'exited');

/** Lowers the priority of a large network's worker. */
function lowerPriority({ pid }: ChildProcess) {
  try {
    if (pid !== undefined) os.setPriority(pid, LARGE_NICENESS);
  } catch {
    // It has ended already, or this system does not allow it: then the cores are shared equally.
  }
}

/** The parent's side of one worker process. A worker that does not answer before its deadline is killed. */
export class WorkerProcess {
  /** Resolves once the networks are loaded and warm. Rejects with EngineError when one cannot be loaded. */
  readonly loaded: Promise<Loaded>;
  /** Resolves when the process has ended. */
  readonly #ended: Promise<void>;
  readonly #pending = new Map<number, PendingEvaluation>();
  readonly #child: ChildProcess;
  readonly #deadlines: Deadlines;
  readonly #silence: Silence;
  #loading = true;
  /** It was asked whether it still answers, and has not answered yet. */
  #pinged = false;
  /** Seconds per row of the slowest recent evaluation of each network. */
  readonly #rowSeconds: RowSeconds = {};
  #nextId = 0;
  /** Why it was killed or has ended. */
  #lost: WorkerLostError | undefined;
  #settleEnded: (loss: WorkerLostError) => void = () => {};

  /** Throws WorkerLostError where the system has no room for a process. */
  constructor({ spec, deadlines, entry = ENTRY.url, onLost }: WorkerProcessOptions) {
    this.#deadlines = deadlines;
    this.#silence = new Silence(deadlines.checkIntervalMs, performance.now());
    this.#child = startProcess(entry);
    running.add(this.#child);
    if (spec.device === 'cpu' && isLarge(spec)) lowerPriority(this.#child);
    const megabytes = megabytesIn(spec.folder);
    const check = () => this.#check(loadDeadlineMs(spec.device, megabytes, deadlines));
    const checks = setInterval(check, deadlines.checkIntervalMs).unref();
    const stderrWhileLoading = this.#forwardStderr();
    const ended = new Promise<WorkerLostError>((resolve) => {
      this.#settleEnded = resolve;
    });
    this.loaded = new Promise((resolve, reject) => {
      this.#child.on('message', (message: FromWorker) => {
        this.#silence.restart();
        if (message.type === 'loaded') {
          this.#loading = false;
          Object.assign(this.#rowSeconds, message.rowSeconds);
          resolve(message);
        } else if (message.type === 'load-failed') reject(new EngineError(message.message));
        else if (message.type === 'device-failed') this.#abandonDevice(message.message);
        else if (message.type === 'pong') this.#pinged = false;
        else this.#settle(message);
      });
      void ended.then(reject);
    });
    this.loaded.catch(() => {}); // a rejection that nobody awaits must not end the process
    this.#ended = ended.then((loss) => {
      this.#lost ??= loss;
      clearInterval(checks);
      for (const { reject } of this.#pending.values()) reject(loss);
      this.#pending.clear();
      onLost(loss);
    });
    this.#child.once('exit', (code, signal) => {
      running.delete(this.#child);
      const how = signal ? `was ended by ${signal}` : `exited with code ${code}`;
      this.#settleEnded(this.#lost ?? new WorkerLostError(how + stderrWhileLoading(), 'exited'));
    });
    this.#child.on('error', (error) => {
      if (this.pid !== undefined) return this.kill();
      running.delete(this.#child); // it never ran, and has no 'exit'
      this.#settleEnded(notStarted(error));
    });
    this.#send({ type: 'load', spec });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Evaluations in flight. */
  get load(): number {
    return this.#pending.size;
  }

  /** Half of its deadline has passed without an answer, or it is lost: no good choice for more work. */
  get isLate(): boolean {
    const deadlineMs = this.#evaluationDeadlineMs;
    return this.#lost !== undefined || (deadlineMs !== undefined && this.#silence.ms > deadlineMs / 2);
  }

  /** Rejects with WorkerLostError when the process ends before it has answered, else with EngineError. */
  evaluate(batch: Batch, exclusive: boolean): Promise<Evaluation> {
    if (this.#lost) return Promise.reject(this.#lost);
    return new Promise((resolve, reject) => {
      if (this.#evaluationDeadlineMs === undefined) this.#silence.restart(); // it was idle until now
      const id = this.#nextId++;
      this.#pending.set(id, { network: batch.network, rows: batch.rows, resolve, reject });
      this.#send({ type: 'evaluate', id, batch, exclusive });
    });
  }

  /** Ends the process at once. One that not even SIGKILL ends, because a driver holds it, is given up after a while. */
  kill(loss = new WorkerLostError('was killed', 'exited')) {
    this.#lost ??= loss;
    this.#child.kill('SIGKILL');
    setTimeout(() => this.#settleEnded(loss), this.#deadlines.killGraceMs).unref();
  }

  /** Lets the process end by itself, or kills it after exitGraceMs; resolves when it has ended. */
  async close(): Promise<void> {
    const timer = setTimeout(() => this.kill(), this.#deadlines.exitGraceMs);
    if (this.#child.connected) this.#child.disconnect();
    else this.kill();
    await this.#ended;
    clearTimeout(timer);
  }

  /** Until when the worker has to answer what it was asked, in milliseconds of silence; undefined while it is idle. */
  get #evaluationDeadlineMs(): number | undefined {
    if (this.#pending.size === 0 && !this.#pinged) return undefined;
    let expectedSeconds = 0;
    for (const { network, rows } of this.#pending.values())
      expectedSeconds += rows * (this.#rowSeconds[network] ?? 0);
    return evaluationDeadlineMs(expectedSeconds, this.#deadlines);
  }

  #check(loadDeadlineMs: number) {
    this.#silence.check(performance.now());
    if (this.#lost || !this.#child.connected) return;
    const { ms } = this.#silence;
    const deadlineMs = this.#loading ? loadDeadlineMs : this.#evaluationDeadlineMs;
    if (deadlineMs === undefined) {
      if (ms >= this.#deadlines.idleMs) this.#ping();
    } else if (ms >= deadlineMs) {
      const task = this.#loading ? 'did not finish loading' : 'did not answer';
      const how = `${task} within ${Math.ceil(deadlineMs / 1000)} s and was killed`;
      this.kill(new WorkerLostError(how, 'hung'));
    }
  }

  #ping() {
    this.#pinged = true;
    this.#silence.restart();
    this.#send({ type: 'ping' });
  }

  /**
   * Forwards the worker's stderr once its networks are loaded. Before that, libraries write at length about a GPU that is
   * missing, which the load error says in one sentence; so the last of it is kept, and the function returned gives it as
   * ": text" for a worker that died while it loaded, else "".
   */
  #forwardStderr(): () => string {
    let [loading, tail] = [true, ''];
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      if (loading) tail = (tail + chunk).slice(-STDERR_TAIL_LENGTH);
      else process.stderr.write(chunk);
    });
    this.#child.on('message', ({ type }: FromWorker) => {
      if (type === 'loaded') loading = false;
    });
    return () => (loading && tail ? `: ${tail.trim()}` : '');
  }

  /** Kills the process: a clean exit could wait for the driver of a device that no longer responds. */
  #abandonDevice(message: string) {
    this.kill(new WorkerLostError(`lost its device: ${message}`, 'device'));
  }

  #send(message: ToWorker) {
    // The callback ignores a failed send: the process is ending, and its 'exit' rejects the pending evaluations.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #settle(message: Extract<FromWorker, { type: 'result' | 'error' }>) {
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (!pending) return;
    if (message.type === 'result') {
      const { network, rows } = pending;
      this.#rowSeconds[network] = slowestRecently(this.#rowSeconds[network] ?? 0, rows, message.seconds);
      pending.resolve(message);
    } else pending.reject(new EngineError(message.message));
  }
}

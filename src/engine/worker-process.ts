import { type ChildProcess, fork } from 'node:child_process';
import { type Batch, EngineError } from './engine.ts';
import type { NetworkSpec } from './network.ts';
import type { FromWorker, Loaded, ToWorker } from './protocol.ts';

/** When the parent runs from the TypeScript sources (tests, scripts), so does the worker, with the same loader. */
const FROM_SOURCE = import.meta.url.endsWith('.ts');
const ENTRY = new URL(FROM_SOURCE ? './worker.ts' : './worker.js', import.meta.url);
/** Characters kept of what a worker writes to stderr while it loads; the end says most. */
const STDERR_TAIL_LENGTH = 2000;

export interface Evaluation {
  prediction: Float32Array;
  /** Time inside the worker, without the IPC. */
  seconds: number;
}

interface PendingEvaluation {
  resolve(evaluation: Evaluation): void;
  reject(error: EngineError): void;
}

/** The parent's side of one worker process. */
export class WorkerProcess {
  /** Resolves once the network is loaded and warm. Rejects with EngineError when it cannot be loaded. */
  readonly loaded: Promise<Loaded>;
  readonly #pending = new Map<number, PendingEvaluation>();
  readonly #child: ChildProcess;
  #nextId = 0;
  #deviceFailure: string | undefined;

  /** `onExit` is called once, with how the process ended, after every pending evaluation has been rejected. */
  constructor(spec: NetworkSpec, onExit: (reason: string) => void, entry = ENTRY) {
    this.#child = fork(entry, {
      serialization: 'advanced', // typed arrays are sent as bytes, not as JSON
      execArgv: FROM_SOURCE ? ['--import', 'tsx'] : [],
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      // Otherwise onnxruntime writes a device id to the home directory and reports its use over the network.
      env: { ORT_DISABLE_TELEMETRY: '1', ...process.env },
    });
    const stderrWhileLoading = this.#forwardStderr();
    this.loaded = new Promise((resolve, reject) => {
      this.#child.on('message', (message: FromWorker) => {
        if (message.type === 'loaded') resolve(message);
        else if (message.type === 'load-failed') reject(new EngineError(message.message));
        else if (message.type === 'device-failed') this.#abandon(message.message);
        else this.#settle(message);
      });
      this.#child.once('exit', (code, signal) => {
        const how = signal ? `was ended by ${signal}` : `exited with code ${code}`;
        const reason = this.#deviceFailure ?? how + stderrWhileLoading();
        const error = new EngineError(`the worker ${reason}`);
        reject(error);
        for (const { reject } of this.#pending.values()) reject(error);
        this.#pending.clear();
        onExit(reason);
      });
    });
    this.loaded.catch(() => {}); // a rejection that nobody awaits must not end the process
    this.#child.on('error', () => this.kill());
    this.#send({ type: 'load', spec });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Evaluations in flight. */
  get load(): number {
    return this.#pending.size;
  }

  /** Rejects with EngineError when the evaluation fails or the process ends before it has answered. */
  evaluate(batch: Batch, exclusive: boolean): Promise<Evaluation> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#pending.set(id, { resolve, reject });
      this.#send({ type: 'evaluate', id, batch, exclusive });
    });
  }

  kill() {
    this.#child.kill('SIGKILL');
  }

  /** Lets the process end by itself; resolves when it has ended. */
  close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
      this.#child.once('exit', () => resolve());
      if (this.#child.connected) this.#child.disconnect();
      else this.kill();
    });
  }

  /**
   * Forwards the worker's stderr once its network is loaded. Before that, libraries write at length about a GPU that is
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
  #abandon(message: string) {
    this.#deviceFailure = `lost its device: ${message}`;
    this.kill();
  }

  #send(message: ToWorker) {
    // The callback ignores a failed send: the process is ending, and its 'exit' rejects the pending evaluations.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #settle(message: Extract<FromWorker, { type: 'result' | 'error' }>) {
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.type === 'result') pending?.resolve(message);
    else pending?.reject(new EngineError(message.message));
  }
}

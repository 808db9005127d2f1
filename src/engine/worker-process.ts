import { type ChildProcess, fork } from 'node:child_process';
import { type Batch, EngineError } from './engine.ts';
import type { NetworkSpec } from './network.ts';
import type { FromWorker, Loaded, ToWorker } from './protocol.ts';

/** From the sources (tests, scripts) the worker needs the same TypeScript loader as its parent. */
const FROM_SOURCE = import.meta.url.endsWith('.ts');
const ENTRY = new URL(FROM_SOURCE ? './worker.ts' : './worker.js', import.meta.url);
/** Of what a worker writes while it loads; the end says most. */
const COMPLAINT_LENGTH = 2000;

export interface Evaluation {
  prediction: Float32Array;
  /** Inside the worker, without the way there and back. */
  seconds: number;
}

interface Waiting {
  resolve(evaluation: Evaluation): void;
  reject(error: EngineError): void;
}

/** The parent's end of one worker process. */
export class WorkerProcess {
  /** Resolves once the network is loaded and warm; rejects with EngineError when it cannot be. */
  readonly loaded: Promise<Loaded>;
  /** Evaluations sent and not answered yet. */
  readonly #waiting = new Map<number, Waiting>();
  readonly #child: ChildProcess;
  #nextId = 0;
  #lost: string | undefined;

  /** `onExit` is called once when the process has gone, whatever the reason; what was in flight has been rejected. */
  constructor(spec: NetworkSpec, onExit: (how: string) => void, entry = ENTRY) {
    this.#child = fork(entry, {
      serialization: 'advanced', // typed arrays travel as bytes, not as JSON
      execArgv: FROM_SOURCE ? ['--import', 'tsx'] : [],
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      // onnxruntime would otherwise leave a device id in the home directory and report its use over the network.
      env: { ORT_DISABLE_TELEMETRY: '1', ...process.env },
    });
    const complaint = this.#listen();
    this.loaded = new Promise((resolve, reject) => {
      this.#child.on('message', (message: FromWorker) => {
        if (message.type === 'loaded') resolve(message);
        else if (message.type === 'load-failed') reject(new EngineError(message.message));
        else if (message.type === 'lost') this.#giveUp(message.message);
        else this.#answer(message);
      });
      this.#child.once('exit', (code, signal) => {
        const died = `${signal ? `was ended by ${signal}` : `exited with code ${code}`}${complaint()}`;
        const how = this.#lost ?? died;
        const error = new EngineError(`the worker ${how}`);
        reject(error);
        for (const { reject } of this.#waiting.values()) reject(error);
        this.#waiting.clear();
        onExit(how);
      });
    });
    this.loaded.catch(() => {}); // whoever awaits it sees it; nobody has to
    this.#child.on('error', () => this.kill());
    this.#send({ type: 'load', spec });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Evaluations in flight. */
  get load(): number {
    return this.#waiting.size;
  }

  evaluate(batch: Batch, alone: boolean): Promise<Evaluation> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#waiting.set(id, { resolve, reject });
      this.#send({ type: 'evaluate', id, batch, alone });
    });
  }

  kill() {
    this.#child.kill('SIGKILL');
  }

  /** Lets the process end by itself; resolves when it has. */
  close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
      this.#child.once('exit', () => resolve());
      if (this.#child.connected) this.#child.disconnect();
      else this.kill();
    });
  }

  /**
   * While it loads, libraries complain at length of a GPU that is not there, which the error of the attempt says in a
   * sentence: what they write is kept for a worker that dies without one. Later it is the operator's to read.
   */
  #listen(): () => string {
    let [loading, written] = [true, ''];
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      if (loading) written = (written + chunk).slice(-COMPLAINT_LENGTH);
      else process.stderr.write(chunk);
    });
    this.#child.on('message', ({ type }: FromWorker) => {
      if (type === 'loaded') loading = false;
    });
    return () => (loading && written ? `: ${written.trim()}` : '');
  }

  /** Killed, not asked: leaving by itself would wait for the driver of a device that may not answer any more. */
  #giveUp(message: string) {
    this.#lost = `lost its device: ${message}`;
    this.kill();
  }

  #send(message: ToWorker) {
    // A failed send means that the process is going: its 'exit' rejects what was waiting.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #answer(message: Extract<FromWorker, { type: 'result' | 'error' }>) {
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.type === 'result') waiting?.resolve(message);
    else waiting?.reject(new EngineError(message.message));
  }
}

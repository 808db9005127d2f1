import { Worker } from 'node:worker_threads';
import type { NetworkName } from '../../engine/engine.ts';
import { entryPoint } from '../../entry-point.ts';
import type { Trajectory } from '../../scheduler/trajectory.ts';
import type { NoiseLevel } from './conditioning.ts';
import type { TrajectorySpec, Views } from './create.ts';
import type { Answer, Message, State } from './thread.ts';

const FROM_SOURCE = import.meta.url.endsWith('.ts');
const ENTRY = entryPoint(import.meta.url, 'thread').url;

/** In development: loads the entry through tsx, which has to be registered in the thread itself. */
const LOAD_SOURCE = `import('tsx/esm/api').then(({ register }) => {
  register();
  return import(${JSON.stringify(ENTRY.href)});
});`;

/**
 * A trajectory that lives in a worker thread, for models whose noise and sampler steps would keep the event loop busy for
 * tens of milliseconds. It gives the same bytes as one that createTrajectory() makes.
 */
export class ThreadedTrajectory implements Trajectory {
  readonly #thread: TrajectoryThread;
  readonly #id: number;
  #state: State;

  /** Starts at x_T. Rejects where createTrajectory() throws. */
  static async create(spec: TrajectorySpec): Promise<ThreadedTrajectory> {
    const thread = TrajectoryThread.current();
    const id = thread.newId();
    const state = await thread.ask({ type: 'create', id, spec });
    return new ThreadedTrajectory(thread, id, state as State);
  }

  private constructor(thread: TrajectoryThread, id: number, state: State) {
    this.#thread = thread;
    this.#id = id;
    this.#state = state;
  }

  get total(): number {
    return this.#state.total;
  }

  get step(): number {
    return this.#state.step;
  }

  get rows(): number {
    return this.#state.inputs.length;
  }

  get network(): NetworkName {
    return this.#state.network;
  }

  input(row: number): { x: Float32Array; t: number } {
    const input = this.#state.inputs[row];
    if (!input) throw new Error(`the trajectory has no row ${row}`);
    return input;
  }

  async advance(prediction: Float32Array, row: number): Promise<void> {
    const copy = prediction.slice(); // a row of a batch: its memory is shared with the other rows
    const message = { type: 'advance', id: this.#id, prediction: copy, row } as const;
    const state = (await this.#thread.ask(message, [copy.buffer])) as State | { step: number };
    this.#state = { ...this.#state, ...state };
  }

  get noiseLevel(): NoiseLevel {
    return this.#state.noiseLevel;
  }

  /** What there is to see after the last advance() that was called. */
  async view<What extends keyof Views>(what: What): Promise<Views[What]> {
    const { view } = (await this.#thread.ask({ type: 'view', id: this.#id, what })) as { view: Views[What] };
    return view;
  }

  /** Frees its memory in the thread. */
  close(): void {
    this.#thread.tell({ type: 'close', id: this.#id });
  }
}

interface Pending {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/** The process's one thread for trajectories; started at the first use, and again after it failed. */
class TrajectoryThread {
  static #current: TrajectoryThread | undefined;
  readonly #worker = FROM_SOURCE ? new Worker(LOAD_SOURCE, { eval: true }) : new Worker(ENTRY);
  /** In the order of the messages, which is the order of the answers. */
  readonly #pending: Pending[] = [];
  /** Why the thread has ended. */
  #failure: Error | undefined;
  #lastId = 0;

  static current(): TrajectoryThread {
    TrajectoryThread.#current ??= new TrajectoryThread();
    return TrajectoryThread.#current;
  }

  private constructor() {
    this.#worker.unref();
    this.#worker.on('message', (answer: Answer) => {
      const pending = this.#pending.shift();
      if ('error' in answer) pending?.reject(new Error(answer.error));
      else pending?.resolve(answer);
      if (this.#pending.length === 0) this.#worker.unref();
    });
    this.#worker.on('error', (error: Error) => this.#fail(error));
    this.#worker.on('messageerror', (error: Error) => this.#fail(error)); // an answer is lost
    this.#worker.on('exit', (code) =>
      this.#fail(new Error(`the thread of trajectories exited with ${code}`)),
    );
  }

  /** Rejects what waits for the thread, and all that its trajectories ask later. */
  #fail(error: Error) {
    this.#failure ??= error;
    if (TrajectoryThread.#current === this) TrajectoryThread.#current = undefined;
    for (const { reject } of this.#pending.splice(0)) reject(this.#failure);
  }

  newId(): number {
    return ++this.#lastId;
  }

  ask(message: Exclude<Message, { type: 'close' }>, transfer: ArrayBuffer[] = []): Promise<Answer> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#worker.postMessage(message, transfer); // throws where the message cannot be copied: no answer follows then
      this.#worker.ref(); // the process lives until it is answered
      this.#pending.push({ resolve, reject });
    });
  }

  tell(message: Message): void {
    this.#worker.postMessage(message);
  }
}

import {
  type Batch,
  type Engine,
  EngineError,
  type EngineInfo,
  type EvaluateOptions,
  type NetworkName,
} from '../../src/engine/engine.ts';
import { Admission, QueueFullError, type QueueLimits } from '../../src/scheduler/admission.ts';
import { type RunOptions, Scheduler } from '../../src/scheduler/scheduler.ts';
import type { Trajectory } from '../../src/scheduler/trajectory.ts';

/** A trajectory of one pixel that records the engine's results, so that tests detect mixed-up rows. */
export class Probe implements Trajectory {
  readonly total: number;
  readonly id: number;
  readonly rows = 1;
  readonly network = 'base';
  step = 0;
  readonly seen: number[] = [];

  constructor(id: number, total: number) {
    this.id = id;
    this.total = total;
  }

  input() {
    return { x: Float32Array.of(this.id), t: this.step };
  }

  advance(prediction: Float32Array) {
    if (prediction.length !== 1) throw new Error(`a row of ${prediction.length}`);
    this.seen.push(prediction[0]);
    this.step++;
  }
}

/** The simulated engine's result for a row, which encodes the trajectory's id (x) and its step (t). */
export const answer = (x: number, t: number) => 1000 * x + t;

interface Running {
  doneAt: number;
  finish(): void;
}

/** An engine with a simulated clock. An evaluation takes `batchMs`, whatever the size of the batch. */
export class SimulatedEngine implements Engine {
  readonly info: EngineInfo;
  readonly batches: number[][] = [];
  /** The network of each batch. */
  readonly networks: NetworkName[] = [];
  /** For each batch, whether it may use all cores. */
  readonly exclusive: boolean[] = [];
  readonly rowSeconds = {};
  alive: number;
  onAliveChange: (() => void) | undefined;
  nowMs = 0;
  failNext: ((batch: Batch) => boolean) | undefined;
  readonly #batchMs: number;
  readonly #busyUntil: number[];
  #running: Running[] = [];

  constructor({ workers = 1, bestBatch = 1, batchMs = 10 } = {}) {
    this.info = {
      engine: 'onnx',
      device: 'cpu',
      deviceName: 'simulated',
      library: 'fake',
      precision: 'fp32',
      networks: ['base'],
      bestBatch,
      workers,
    };
    this.alive = workers;
    this.#batchMs = batchMs;
    this.#busyUntil = new Array(workers).fill(0);
  }

  evaluate(batch: Batch, { exclusive = false }: EvaluateOptions = {}): Promise<Float32Array> {
    this.exclusive.push(exclusive);
    this.batches.push([...batch.x]);
    this.networks.push(batch.network);
    const worker = this.#busyUntil.indexOf(Math.min(...this.#busyUntil));
    const doneAt = Math.max(this.nowMs, this.#busyUntil[worker]) + this.#batchMs;
    this.#busyUntil[worker] = doneAt;
    const fails = this.failNext?.(batch);
    return new Promise((resolve, reject) => {
      const finish = () =>
        fails ? reject(new EngineError('boom')) : resolve(batch.x.map((x, i) => answer(x, batch.t[i])));
      this.#running.push({ doneAt, finish });
    });
  }

  async close() {}

  /** Advances the clock from event to event up to `until`, in ms (by default until no evaluation is running). */
  async run(until = Number.POSITIVE_INFINITY): Promise<void> {
    await settle();
    while (this.#running.length > 0) {
      this.#running.sort((a, b) => a.doneAt - b.doneAt);
      if (this.#running[0].doneAt > until) break;
      const next = this.#running.shift() as Running;
      this.nowMs = next.doneAt;
      next.finish();
      await settle();
    }
    if (Number.isFinite(until)) this.nowMs = until;
  }
}

/** Waits until all pending promise callbacks have run. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

export function simulate(
  options: { workers?: number; bestBatch?: number; outageMs?: number } & Partial<QueueLimits> = {},
) {
  const engine = new SimulatedEngine(options);
  const sizes: number[] = [];
  const scheduler = new Scheduler({
    engine,
    admission: new Admission({
      limit: options.limit ?? 1000,
      background: options.background,
      shared: options.shared,
    }),
    outageMs: options.outageMs,
    now: () => engine.nowMs,
    onBatch: (rows) => sizes.push(rows),
  });
  let id = 0;

  /** Submits a request with `images` trajectories. The result records when and how it ended, in simulated time. */
  function submit(steps: number, { images = 1, ...options }: RunOptions & { images?: number } = {}) {
    const probes = Array.from({ length: images }, () => new Probe(++id, steps));
    const request = { probes, arrivedMs: engine.nowMs, endedMs: Number.NaN, error: undefined as unknown };
    scheduler
      .run(probes, options)
      .catch((error) => {
        request.error = error;
      })
      .finally(() => {
        request.endedMs = engine.nowMs;
      });
    return request;
  }
  return { engine, scheduler, sizes, submit };
}

export { EngineError, QueueFullError };

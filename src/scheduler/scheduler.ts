import type { Span } from '@opentelemetry/api';
import { type Batch, type Engine, EngineError } from '../engine/engine.ts';
import { assertFinite } from '../engine/finite.ts';
import { retryAfter } from '../retry-after.ts';
import { activeSpan, startShared } from '../tracing.ts';
import type { Admission, Reservation } from './admission.ts';
import { batchSize, SPLIT_ROWS } from './batch-size.ts';
import { Pace } from './pace.ts';
import { type Claim, type Priority, stretch } from './policy.ts';
import { begin, giveBack, type RequestImage, type Row, takeStrongest } from './rows.ts';
import { forEachInSlices } from './time-slices.ts';
import type { Trajectory } from './trajectory.ts';

export interface SchedulerOptions {
  engine: Engine;
  /** Its `retryAfterS` is set to an estimate by this scheduler. */
  admission: Admission;
  /** Current time in milliseconds; injected by tests. */
  now?: () => number;
  /** Called with the number of rows of each evaluation. */
  onBatch?: (rows: number) => void;
  /** Milliseconds that requests wait while no worker is alive, before they fail with EngineError. */
  outageMs?: number;
  /** Rows from which on they are split between the batches of a GPU, see batch-size.ts. */
  splitRows?: number;
}

export interface RunOptions {
  priority?: Priority;
  /** Aborting takes the images out at the next step; run() rejects with the signal's reason. */
  signal?: AbortSignal;
  /** After each step of any of the images: evaluations done and to do, over all of them. */
  onStep?: (step: number, total: number) => void;
  /** When the first evaluation begins. */
  onStart?: () => void;
  /** Room for these images, from `admission`; run() reserves it when absent. Released image by image as they finish. */
  reservation?: Reservation;
}

/**
 * Batches of several rows that a worker may hold: one running and one waiting, so that a GPU is never idle while a batch
 * travels between the processes. Single rows (on a CPU) run long compared with that, so a worker holds one: a row that
 * waits in the scheduler can still be overtaken by a stronger claim, or cancelled.
 */
const MAX_IN_FLIGHT_PER_WORKER = 2;
const OUTAGE_MS = 30_000;

interface Request extends Claim {
  done: number;
  started: boolean;
  /** Images not finished yet. */
  left: number;
  options: RunOptions;
  reservation: Reservation;
  /** The span of the caller, where tracing is on. */
  span: Span | undefined;
  resolve(): void;
  reject(reason: unknown): void;
}

type Image = RequestImage<Request>;

/**
 * Step-level batching: whenever the engine has room, the rows with the strongest claim (policy.ts) are evaluated
 * together, whatever their samplers, step counts and timesteps. A new request joins at the next step; one that is
 * finished or cancelled leaves; a failed evaluation fails the requests in it and no other.
 */
export class Scheduler {
  readonly admission: Admission;
  readonly #engine: Engine;
  readonly #now: () => number;
  readonly #onBatch: (rows: number) => void;
  readonly #splitRows: number;
  /** Every unfinished image, in order of arrival. */
  readonly #images = new Set<Image>();
  #inFlight = 0;
  readonly #outageMs: number;
  #outage: NodeJS.Timeout | undefined;
  readonly #pace: Pace;

  constructor(options: SchedulerOptions) {
    const {
      engine,
      admission,
      now = () => performance.now(),
      onBatch = () => {},
      outageMs = OUTAGE_MS,
      splitRows = SPLIT_ROWS,
    } = options;
    this.admission = admission;
    admission.retryAfterS = (images, direct) => this.#secondsUntil(images, direct);
    this.#engine = engine;
    this.#now = now;
    this.#onBatch = onBatch;
    this.#splitRows = splitRows;
    this.#outageMs = outageMs;
    this.#pace = new Pace(now, engine.rowSeconds.base);
    engine.onAliveChange = () => {
      this.#watchOutage();
      this.#dispatch();
    };
  }

  /** Images whose first step has not begun, and images that are being denoised. */
  get depth(): { waiting: number; active: number } {
    let active = 0;
    for (const { request } of this.#images) if (request.started) active++;
    return { waiting: this.#images.size - active, active };
  }

  /**
   * Whole seconds, 1 to 600, until `count` of the images have finished at the present pace, if the strongest claims go
   * first. `direct`: those of jobs do not count, because jobs that wait take their places.
   */
  #secondsUntil(count: number, direct: boolean): number {
    const now = this.#now();
    const images = [...this.#images].sort((a, b) => stretch(b.request, now) - stretch(a.request, now));
    let [evaluations, finished] = [0, 0];
    for (const { request, trajectory } of images) {
      evaluations += trajectory.total - trajectory.step;
      if (!(direct && request.reservation.background)) finished++;
      if (finished === count) break;
    }
    return retryAfter(evaluations * this.#pace.secondsPerRow);
  }

  /**
   * Takes all the images to their last step. Rejects with QueueFullError, EngineError, or the abort signal's reason;
   * nothing of the request is evaluated after that.
   */
  async run(trajectories: readonly Trajectory[], options: RunOptions = {}): Promise<void> {
    const { signal, priority = 'normal' } = options;
    signal?.throwIfAborted();
    const reservation = options.reservation ?? this.admission.reserve(trajectories.length);
    const evaluations = trajectories.reduce((sum, { total }) => sum + total, 0);
    const { promise, resolve, reject } = withResolvers();
    const request: Request = {
      arrivedMs: this.#now(),
      evaluations,
      priority,
      done: 0,
      started: false,
      left: trajectories.length,
      options,
      reservation,
      span: activeSpan(),
      resolve,
      reject,
    };
    for (const trajectory of trajectories) {
      const image = { request, trajectory, ready: [], left: 0 };
      this.#images.add(image);
      begin(image);
    }
    const abort = () => this.#leave(request, signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    this.#watchOutage();
    this.#dispatch();
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Starts evaluations for as long as the engine has room and rows are ready. */
  #dispatch() {
    const { bestBatch } = this.#engine.info;
    const slots = this.#engine.alive * (bestBatch > 1 ? MAX_IN_FLIGHT_PER_WORKER : 1);
    let rows = 0;
    for (const { left } of this.#images) rows += left;
    const size = batchSize(bestBatch, slots, rows, this.#splitRows);
    while (this.#inFlight < slots) {
      const batch = takeStrongest(this.#images, size, this.#now());
      if (batch.length === 0) return;
      // A smaller batch waits for an idle worker: more rows may join it meanwhile.
      if (batch.length < size && this.#inFlight >= this.#engine.alive) {
        giveBack(batch);
        return;
      }
      void this.#evaluate(batch);
    }
  }

  async #evaluate(rows: Row<Image>[]) {
    const exclusive = this.#images.size === 1 && rows[0].image.left === 1;
    if (this.#inFlight++ === 0) this.#pace.resume();
    for (const { image } of rows) {
      const { request } = image;
      if (!request.started) {
        request.started = true;
        request.options.onStart?.();
      }
    }
    const spans = rows.map(({ image }) => image.request.span);
    const batch = startShared('batch', spans, { 'ddpm_inpaint.rows': rows.length });
    try {
      const inputs = await this.#gather(rows);
      if (this.#engine.alive === 0) {
        giveBack(rows); // the workers died meanwhile: the rows wait for a replacement
        return;
      }
      this.#onBatch(rows.length);
      const prediction = await this.#engine.evaluate(inputs, { exclusive });
      const length = prediction.length / rows.length;
      await forEachInSlices(rows, this.#now, (row, i) => {
        this.#advance(row, prediction.subarray(i * length, (i + 1) * length));
      });
      this.#pace.count(rows.length);
    } catch (error) {
      for (const { image } of rows) this.#leave(image.request, error);
    } finally {
      batch.end();
      this.#inFlight--;
      this.#dispatch();
    }
  }

  /** The inputs of the rows as one batch: x [N, C, R, R] and t [N]. */
  async #gather(rows: Row<Image>[]): Promise<Batch> {
    const [{ image: first, index }] = rows;
    const { network } = first.trajectory;
    if (rows.length === 1) {
      const { x, t } = first.trajectory.input(index); // not copied
      return { network, rows: 1, x, t: Float32Array.of(t) };
    }
    let x = new Float32Array();
    const t = new Float32Array(rows.length);
    await forEachInSlices(rows, this.#now, ({ image, index }, i) => {
      const input = image.trajectory.input(index);
      if (i === 0) x = new Float32Array(rows.length * input.x.length);
      x.set(input.x, i * input.x.length);
      t[i] = input.t;
    });
    return { network, rows: rows.length, x, t };
  }

  #advance(row: Row<Image>, prediction: Float32Array) {
    const { image, index } = row;
    if (!this.#images.has(image)) return; // it was cancelled while it was being evaluated
    try {
      assertFinite(prediction); // as pixels, they would be a black fill
      const done = image.trajectory.advance(prediction, index);
      if (done) void this.#advanceLater(image, done);
      else this.#advanced(image);
    } catch (error) {
      this.#leave(image.request, error); // fails this request; the others of the batch go on
    }
  }

  /** For a trajectory in another thread: the worker takes other rows meanwhile. */
  async #advanceLater(image: Image, done: Promise<void>) {
    try {
      await done;
      if (this.#images.has(image)) this.#advanced(image);
    } catch (error) {
      this.#leave(image.request, error);
    }
    this.#dispatch();
  }

  /** The image's trajectory has taken a row. */
  #advanced(image: Image) {
    const { request, trajectory } = image;
    image.left--;
    request.done++;
    request.options.onStep?.(request.done, request.evaluations);
    if (image.left > 0 || !this.#images.has(image)) return; // the callback may have cancelled the request
    if (trajectory.step < trajectory.total) {
      begin(image);
      return;
    }
    this.#images.delete(image);
    request.reservation.release(1);
    if (--request.left === 0) request.resolve();
  }

  #leave(request: Request, reason: unknown) {
    for (const image of this.#images) if (image.request === request) this.#images.delete(image);
    request.reservation.release();
    request.reject(reason);
  }

  /** While no worker is alive, requests wait for one. Those that wait when the outage has lasted too long fail. */
  #watchOutage() {
    if (this.#engine.alive > 0) {
      clearTimeout(this.#outage);
      this.#outage = undefined;
    } else {
      this.#outage ??= setTimeout(() => this.#failAll(), this.#outageMs).unref();
    }
  }

  #failAll() {
    this.#outage = undefined; // later requests start it again
    const error = new EngineError('no worker came back in time');
    for (const request of new Set([...this.#images].map((image) => image.request)))
      this.#leave(request, error);
  }
}

/** Promise.withResolvers, which Node 20 does not have. */
function withResolvers() {
  let resolve = () => {};
  let reject: (reason: unknown) => void = () => {};
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

import type { Span } from '@opentelemetry/api';
import { type Batch, type Engine, EngineError } from '../engine/engine.ts';
import { activeSpan, startShared } from '../tracing.ts';
import { Pace } from './pace.ts';
import { type Claim, type Priority, stretch } from './policy.ts';
import { forEachInSlices } from './time-slices.ts';
import type { Trajectory } from './trajectory.ts';

export interface SchedulerOptions {
  engine: Engine;
  /** Images in the system, running ones included; more are refused with QueueFullError. */
  limit: number;
  /** Milliseconds; tests put their own here. */
  now?: () => number;
  onBatch?: (rows: number) => void;
  /** How long requests wait for a worker when none is left, before they fail: nobody is to hang. */
  outageMs?: number;
}

export interface RunOptions {
  priority?: Priority;
  /** Aborting takes the images out at the next step; run() rejects with the signal's reason. */
  signal?: AbortSignal;
  /** After each step of any of the images: evaluations done and to do, over all of them. */
  onStep?: (step: number, of: number) => void;
  /** When the first evaluation begins. */
  onStart?: () => void;
  /** What reserve() or whenRoom() returned: the room it keeps is for these images. */
  place?: () => void;
}

/** The queue is full. */
export class QueueFullError extends Error {
  override name = 'QueueFullError';
  /** When there is likely to be room, in whole seconds, at least 1. */
  readonly retryAfterS: number;
  constructor(retryAfterS: number) {
    super('the queue is full');
    this.retryAfterS = retryAfterS;
  }
}

/**
 * Batches sent to a worker and not answered yet, where a batch has several rows: while one runs, the next is already in
 * the worker, so that a GPU never waits for IPC. Batches of one row (a CPU) take much longer than IPC, so each worker has
 * one at a time.
 */
const MAX_IN_FLIGHT_PER_WORKER = 2;
const OUTAGE_MS = 30_000;

interface Request extends Claim {
  done: number;
  started: boolean;
  /** Images not finished yet. */
  left: number;
  options: RunOptions;
  /** What asked for it, where that is traced. */
  span: Span | undefined;
  resolve(): void;
  reject(reason: unknown): void;
}

interface Row {
  request: Request;
  trajectory: Trajectory;
  inFlight: boolean;
}

/**
 * Step-level batching: whenever the engine has room, the rows with the strongest claim (policy.ts) are evaluated
 * together, whatever their samplers, step counts and timesteps. A new request joins at the next step; one that is
 * finished or cancelled leaves; a failed evaluation fails the requests in it and no other.
 */
export class Scheduler {
  readonly limit: number;
  readonly #engine: Engine;
  readonly #now: () => number;
  readonly #onBatch: (rows: number) => void;
  /** Every unfinished row, in order of arrival. */
  readonly #rows = new Set<Row>();
  /** Images that reserve() keeps room for. */
  #reserved = 0;
  /** Those who wait for room, in order of arrival. */
  readonly #waiting = new Set<{ images: number; admit: () => void }>();
  #inFlight = 0;
  #outage: NodeJS.Timeout | undefined;
  /** How fast it has been lately, for Retry-After. */
  readonly #pace: Pace;

  constructor(options: SchedulerOptions) {
    const {
      engine,
      limit,
      now = () => performance.now(),
      onBatch = () => {},
      outageMs = OUTAGE_MS,
    } = options;
    this.limit = limit;
    this.#engine = engine;
    this.#now = now;
    this.#onBatch = onBatch;
    this.#pace = new Pace(now);
    engine.onAliveChange = () => {
      clearTimeout(this.#outage);
      if (engine.alive === 0) this.#outage = setTimeout(() => this.#giveUp(), outageMs).unref();
      else this.#dispatch();
    };
  }

  /** Images whose first step has not begun, and images under way. */
  get depth(): { waiting: number; active: number } {
    let active = 0;
    for (const { request } of this.#rows) if (request.started) active++;
    return { waiting: this.#rows.size - active, active };
  }

  /** Nothing under way, nothing that waits, no place kept. */
  get idle(): boolean {
    return this.#rows.size + this.#reserved + this.#waiting.size === 0;
  }

  /**
   * Keeps room for images that are still being decoded, until the function it returns is called; run() does that when it
   * is given it as `place`. Throws QueueFullError: nothing is decoded that will not be drawn.
   */
  reserve(images: number): () => void {
    this.#assertRoom(images);
    return this.#keepPlace(images);
  }

  /**
   * Like reserve, for those who would rather wait than be refused: first come first served, and before whoever comes
   * later. Rejects with the signal's reason.
   */
  async whenRoom(images: number, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(waiting);
        this.#admit();
        reject(signal.reason);
      };
      const admit = () => {
        signal.removeEventListener('abort', leave);
        resolve(this.#keepPlace(images));
      };
      const waiting = { images, admit };
      signal.addEventListener('abort', leave);
      this.#waiting.add(waiting);
      this.#admit();
    });
  }

  /**
   * Takes all the images to their end. Rejects with QueueFullError, EngineError, or the abort signal's reason;
   * nothing of the request is evaluated after that.
   */
  async run(trajectories: readonly Trajectory[], options: RunOptions = {}): Promise<void> {
    const { signal, priority = 'normal' } = options;
    signal?.throwIfAborted();
    if (options.place) options.place();
    else this.#assertRoom(trajectories.length);
    const evaluations = trajectories.reduce((sum, { of }) => sum + of, 0);
    const { promise, resolve, reject } = withResolvers();
    const request: Request = {
      arrivedMs: this.#now(),
      evaluations,
      priority,
      done: 0,
      started: false,
      left: trajectories.length,
      options,
      span: activeSpan(),
      resolve,
      reject,
    };
    for (const trajectory of trajectories) this.#rows.add({ request, trajectory, inFlight: false });
    const abort = () => this.#leave(request, signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    this.#dispatch();
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  #assertRoom(images: number) {
    let held = this.#rows.size + this.#reserved;
    for (const waiting of this.#waiting) held += waiting.images;
    if (held + images > this.limit) throw new QueueFullError(this.#retryAfterS());
  }

  #keepPlace(images: number): () => void {
    this.#reserved += images;
    let kept = images;
    return () => {
      this.#reserved -= kept;
      kept = 0;
      queueMicrotask(() => this.#admit()); // not at once: run() puts images where the place was
    };
  }

  #admit() {
    for (const waiting of this.#waiting) {
      if (this.#rows.size + this.#reserved + waiting.images > this.limit) return;
      this.#waiting.delete(waiting);
      waiting.admit();
    }
  }

  /** Evaluates for as long as the engine has room and rows are ready. */
  #dispatch() {
    const { bestBatch } = this.#engine.info;
    const maxInFlight = bestBatch > 1 ? MAX_IN_FLIGHT_PER_WORKER : 1;
    while (this.#inFlight < this.#engine.alive * maxInFlight) {
      const batch = this.#strongest(bestBatch);
      if (batch.length === 0) return;
      // A batch that is not full waits for an idle worker: meanwhile more rows may come to share it.
      if (batch.length < bestBatch && this.#inFlight >= this.#engine.alive) return;
      void this.#evaluate(batch);
    }
  }

  #strongest(count: number): Row[] {
    const now = this.#now();
    const ready = [...this.#rows].filter((row) => !row.inFlight);
    if (ready.length <= count) return ready;
    const claims = new Map<Request, number>();
    const claim = ({ request }: Row) => {
      const known = claims.get(request) ?? stretch(request, now);
      claims.set(request, known);
      return known;
    };
    return ready.sort((a, b) => claim(b) - claim(a)).slice(0, count); // stable: ties keep order of arrival
  }

  async #evaluate(rows: Row[]) {
    const exclusive = this.#rows.size === 1;
    this.#inFlight++;
    for (const row of rows) {
      row.inFlight = true;
      if (!row.request.started) {
        row.request.started = true;
        row.request.options.onStart?.();
      }
    }
    const spans = rows.map(({ request }) => request.span);
    const batch = startShared('batch', spans, { 'ddpm_inpaint.rows': rows.length });
    try {
      const inputs = await this.#gather(rows);
      if (this.#engine.alive === 0) return; // the workers died meanwhile: the rows wait for a replacement
      this.#onBatch(rows.length);
      const prediction = await this.#engine.evaluate(inputs, { exclusive });
      const length = prediction.length / rows.length;
      await forEachInSlices(rows, this.#now, (row, i) => {
        this.#advance(row, prediction.subarray(i * length, (i + 1) * length));
      });
      this.#pace.count(rows.length);
    } catch (error) {
      for (const { request } of rows) this.#leave(request, error);
    } finally {
      batch.end();
      this.#inFlight--;
      for (const row of rows) row.inFlight = false;
      this.#dispatch();
    }
  }

  /** The inputs of the rows' current steps as one batch: x [N, C, R, R] and t [N]. */
  async #gather(rows: Row[]): Promise<Batch> {
    let x = new Float32Array();
    const t = new Float32Array(rows.length);
    await forEachInSlices(rows, this.#now, ({ trajectory }, i) => {
      const input = trajectory.input();
      if (i === 0) x = new Float32Array(rows.length * input.x.length);
      x.set(input.x, i * input.x.length);
      t[i] = input.t;
    });
    return { rows: rows.length, x, t };
  }

  #advance(row: Row, prediction: Float32Array) {
    if (!this.#rows.has(row)) return; // it left while it was being evaluated
    const { request, trajectory } = row;
    try {
      trajectory.advance(prediction);
      request.done++;
      request.options.onStep?.(request.done, request.evaluations);
    } catch (error) {
      this.#leave(request, error); // its own fault: the others of the batch go on
      return;
    }
    if (trajectory.step < trajectory.of) return;
    this.#rows.delete(row);
    this.#admit();
    if (--request.left === 0) request.resolve();
  }

  #leave(request: Request, reason: unknown) {
    for (const row of this.#rows) if (row.request === request) this.#rows.delete(row);
    this.#admit();
    request.reject(reason);
  }

  #giveUp() {
    const error = new EngineError('no worker came back in time');
    for (const request of new Set([...this.#rows].map((row) => row.request))) this.#leave(request, error);
  }

  /** Until half of what is here has been done: then there is room again for a request like those. */
  #retryAfterS(): number {
    let evaluations = 0;
    for (const { trajectory } of this.#rows) evaluations += trajectory.of - trajectory.step;
    return Math.max(1, Math.min(600, Math.ceil((evaluations / 2) * this.#pace.secondsPerRow)));
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

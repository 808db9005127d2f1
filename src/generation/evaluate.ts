import type { Batch } from '../engine/engine.ts';
import type { ServedModel } from '../registry/served-model.ts';
import type { RunOptions } from '../scheduler/scheduler.ts';
import type { Trajectory } from '../scheduler/trajectory.ts';

/** Rows for the network: x [N, C, R, R], and t [N] in 0..T-1. */
export type Rows = Omit<Batch, 'network'>;

/**
 * One evaluation of the base network for each row, without a sampler: for samplers elsewhere. The rows go through the
 * model's scheduler, so they share batches with all other requests.
 *
 * Resolves to the prediction, [N, C_out, R, R]. Rejects as Scheduler.run does, and with EngineError when the model cannot be
 * loaded.
 */
export async function evaluate(
  model: ServedModel,
  { rows, x, t }: Rows,
  options: Pick<RunOptions, 'signal' | 'priority' | 'reservation'>,
): Promise<Float32Array> {
  const { scheduler } = await model.open();
  const size = x.length / rows;
  const all = Array.from(
    { length: rows },
    (_, i) => new OneEvaluation(x.subarray(i * size, (i + 1) * size), t[i]),
  );
  await scheduler.run(all, options);
  const [{ prediction }] = all;
  const joined = new Float32Array(rows * prediction.length);
  all.forEach((each, i) => void joined.set(each.prediction, i * prediction.length));
  return joined;
}

/** A row as the scheduler sees it: a trajectory of one step. */
class OneEvaluation implements Trajectory {
  readonly total = 1;
  readonly rows = 1;
  readonly network = 'base';
  step = 0;
  prediction = new Float32Array();
  readonly #x: Float32Array;
  readonly #t: number;

  constructor(x: Float32Array, t: number) {
    this.#x = x;
    this.#t = t;
  }

  input() {
    return { x: this.#x, t: this.#t };
  }

  advance(prediction: Float32Array) {
    this.prediction = prediction.slice();
    this.step = 1;
  }
}

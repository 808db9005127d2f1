import type { Batch } from './engine.ts';
import { inputLength, type NetworkShape, outputLength } from './network.ts';

type Evaluate = (batch: Batch) => Promise<Float32Array>;

/**
 * Evaluates the rows of a batch that have t >= `first` with `above`, and the others with `below`, one after the other.
 * Resolves to their predictions in the order of the batch: [N, C_out, R, R]. Rejects as the two do.
 */
export async function byTimestep(
  batch: Batch,
  first: number,
  { above, below }: Record<'above' | 'below', Evaluate>,
  shape: NetworkShape,
): Promise<Float32Array> {
  const [high, low]: number[][] = [[], []];
  for (const [row, t] of batch.t.entries()) (t >= first ? high : low).push(row);
  if (low.length === 0) return above(batch);
  if (high.length === 0) return below(batch);
  const [input, output] = [inputLength(shape), outputLength(shape)];
  const prediction = new Float32Array(batch.rows * output);
  for (const [rows, evaluate] of [
    [high, above],
    [low, below],
  ] as const) {
    const found = await evaluate(select(batch, rows, input));
    rows.forEach((row, i) => void prediction.set(found.subarray(i * output, (i + 1) * output), row * output));
  }
  return prediction;
}

/** The batch of these rows; `length` numbers of x are one row. */
function select(batch: Batch, rows: readonly number[], length: number): Batch {
  const x = new Float32Array(rows.length * length);
  rows.forEach((row, i) => void x.set(batch.x.subarray(row * length, (row + 1) * length), i * length));
  return { ...batch, rows: rows.length, x, t: Float32Array.from(rows, (row) => batch.t[row]) };
}

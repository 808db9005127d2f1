import type { Batch } from './engine.ts';
import { inputLength, type NetworkSpec, type Networks, outputLength, shapeOf } from './network.ts';

/**
 * Batch sizes in 1..largest, ascending: powers of two, the numbers halfway between them, and `largest` itself. At most a
 * third of a padded batch is padding.
 */
export function batchSizes(largest: number): number[] {
  const sizes = [largest];
  for (let rows = 1; rows < largest; rows *= 2) sizes.push(rows, rows * 1.5);
  return [...new Set(sizes)].filter((rows) => rows <= largest && rows % 1 === 0).sort((a, b) => a - b);
}

/**
 * Networks that pad each batch with zero rows up to the next of `sizes` (ascending) and drop their results. Larger
 * batches than the last size are not padded.
 */
export function padded(networks: Networks, sizes: readonly number[], spec: NetworkSpec): Networks {
  return {
    ...networks,
    async evaluate(batch, exclusive) {
      const rows = sizes.find((size) => size >= batch.rows) ?? batch.rows;
      if (rows === batch.rows) return networks.evaluate(batch, exclusive);
      const shape = shapeOf(spec, batch.network);
      const prediction = await networks.evaluate(padTo(rows, batch, inputLength(shape)), exclusive);
      return prediction.slice(0, batch.rows * outputLength(shape));
    },
  };
}

/** The batch with zero rows added up to `rows`; `rowLength` numbers of x are one row. */
function padTo(rows: number, batch: Batch, rowLength: number): Batch {
  const x = new Float32Array(rows * rowLength);
  const t = new Float32Array(rows);
  x.set(batch.x);
  t.set(batch.t);
  return { ...batch, rows, x, t };
}

import type { Batch } from './engine.ts';
import type { Network, NetworkSpec } from './network.ts';

/** Batch sizes up to `largest`: powers of two and what is halfway between, so at most a third of the rows is padding. */
export function batchSizes(largest: number): number[] {
  const sizes = [largest];
  for (let rows = 1; rows < largest; rows *= 2) sizes.push(rows, rows * 1.5);
  return [...new Set(sizes)].filter((rows) => rows <= largest && rows % 1 === 0).sort((a, b) => a - b);
}

/** The network, its batches filled up to one of `sizes` with rows that are thrown away. */
export function padded(network: Network, sizes: readonly number[], spec: NetworkSpec): Network {
  const rowLength = spec.inChannels * spec.resolution ** 2;
  const outLength = spec.outChannels * spec.resolution ** 2;
  return {
    ...network,
    async evaluate(batch, alone) {
      const rows = sizes.find((size) => size >= batch.rows) ?? batch.rows;
      if (rows === batch.rows) return network.evaluate(batch, alone);
      const prediction = await network.evaluate(filledUp(batch, rows, rowLength), alone);
      return prediction.slice(0, batch.rows * outLength);
    },
  };
}

function filledUp(batch: Batch, rows: number, rowLength: number): Batch {
  const x = new Float32Array(rows * rowLength);
  const t = new Float32Array(rows);
  x.set(batch.x);
  t.set(batch.t);
  return { rows, x, t };
}

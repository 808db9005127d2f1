/**
 * From this many rows on, a GPU's rows are split between its two batches. On an NVIDIA H200 a batch of n rows takes
 * 8.2 + 0.21 n ms, and the HTTP process needs about 0.6 ms for each row afterwards. Two halves that alternate are faster from
 * about this number on (`npm run bench:gpu-model`).
 */
export const SPLIT_ROWS = 24;

/**
 * The number of rows that a batch should have.
 *
 * `bestBatch`: rows of the largest batch that is worth its time; 1 on a CPU. `slots`: batches that all workers may hold.
 * `rows`: those that could be evaluated now, and those that are being evaluated. If they all fit in one batch, the GPU
 * would wait while they advance; so they are split evenly between the slots, unless there are fewer than `splitRows`.
 */
export function batchSize(bestBatch: number, slots: number, rows: number, splitRows: number): number {
  return rows < splitRows ? bestBatch : Math.min(bestBatch, Math.ceil(rows / slots));
}

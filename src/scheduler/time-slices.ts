import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * How long the rows of a batch may keep the event loop busy without a break, in milliseconds. One row is never split, so
 * a row that takes longer than this blocks the event loop for its own time.
 */
export const SLICE_MS = 5;

/**
 * Calls `work` with each item in order. Between two items it lets the event loop run whenever SLICE_MS have passed since
 * the last break, so that a large batch does not delay probes and other requests. `now` returns milliseconds. Rejects
 * with what `work` throws.
 */
export async function forEachInSlices<T>(
  items: readonly T[],
  now: () => number,
  work: (item: T, index: number) => void,
): Promise<void> {
  let sliceStart = now();
  for (const [index, item] of items.entries()) {
    if (now() - sliceStart > SLICE_MS) {
      await nextTurn();
      sliceStart = now();
    }
    work(item, index);
  }
}

/** The results of `work` for each item, in order, with the breaks of forEachInSlices. */
export async function mapInSlices<T, R>(items: readonly T[], work: (item: T) => R): Promise<R[]> {
  const results: R[] = [];
  await forEachInSlices(
    items,
    () => performance.now(),
    (item) => {
      results.push(work(item));
    },
  );
  return results;
}

import type { Network, NetworkSpec } from './network.ts';

/** A row must get this much cheaper for a batch of twice the size to be worth the wait for its rows. */
const WORTHWHILE = 0.85;
const REPEATS = 5;
/** Nor may it keep every other request waiting for longer than this. */
const LONGEST_MS = 500;

/**
 * Runs the network until its first-run work (memory plans, shaders) is done, and finds the best batch: sizes double
 * while a row gets clearly cheaper. On CPUs that is 1; on GPUs whatever fills them.
 */
export async function bestBatch(network: Network, spec: NetworkSpec, largest = 64): Promise<number> {
  await network.evaluate(zeros(1, spec), true);
  let best = 1;
  while (best * 2 <= largest && (await gain(network, best, spec)) < WORTHWHILE) best *= 2;
  return best;
}

/**
 * Seconds a row in a batch of twice `rows`, over those in one of `rows`. Measured in turns, the fastest of each:
 * what else the machine does only ever slows a run.
 */
async function gain(network: Network, rows: number, spec: NetworkSpec): Promise<number> {
  const [small, large] = [zeros(rows, spec), zeros(2 * rows, spec)];
  await network.evaluate(large, false);
  let [fastestSmall, fastestLarge] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let i = 0; i < REPEATS; i++) {
    fastestSmall = Math.min(fastestSmall, await milliseconds(() => network.evaluate(small, false)));
    fastestLarge = Math.min(fastestLarge, await milliseconds(() => network.evaluate(large, false)));
    if (fastestLarge > LONGEST_MS) return Number.POSITIVE_INFINITY;
  }
  return fastestLarge / 2 / fastestSmall;
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

function zeros(rows: number, { inChannels, resolution }: NetworkSpec) {
  return {
    rows,
    x: new Float32Array(rows * inChannels * resolution * resolution),
    t: new Float32Array(rows),
  };
}

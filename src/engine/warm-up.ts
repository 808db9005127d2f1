import { EngineError } from './engine.ts';
import type { Network, NetworkSpec } from './network.ts';
import { batchSizes, padded } from './padded.ts';

/** A row must get this much cheaper for a batch of twice the size to be worth the wait for its rows. */
const WORTHWHILE = 0.85;
const REPEATS = 5;
/** Nor may it keep every other request waiting for longer than this. */
const LONGEST_MS = 500;
const LARGEST = 64;

/**
 * Runs the network until its first-run work (memory plans, shaders, choice of algorithms) is done for every batch size
 * that will be used, and finds the best batch unless spec.maxBatch says it.
 *
 * A GPU does that work again for each new size: there the network that is returned pads batches to a few sizes.
 */
export async function warmUp(
  network: Network,
  spec: NetworkSpec,
): Promise<{ network: Network; bestBatch: number }> {
  await network.evaluate(zeros(1, spec), true);
  const bestBatch = spec.maxBatch ?? (await findBestBatch(network, spec));
  if (spec.device === 'cpu') return { network, bestBatch };
  const sizes = batchSizes(bestBatch);
  for (const rows of sizes) await evaluate(network, rows, spec);
  return { network: padded(network, sizes, spec), bestBatch };
}

/** Sizes double while a row gets clearly cheaper. On CPUs that ends at 1; on GPUs with whatever fills them. */
async function findBestBatch(network: Network, spec: NetworkSpec): Promise<number> {
  let best = 1;
  while (best * 2 <= LARGEST && (await gain(network, best, spec)) < WORTHWHILE) best *= 2;
  return best;
}

/**
 * Milliseconds a row in a batch of twice `rows`, over those in one of `rows`. Measured in turns, the fastest of each:
 * what else the machine does only ever slows a run.
 */
async function gain(network: Network, rows: number, spec: NetworkSpec): Promise<number> {
  let [fastestSmall, fastestLarge] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let i = 0; i < REPEATS; i++) {
    fastestSmall = Math.min(fastestSmall, await evaluate(network, rows, spec));
    if (fastestSmall > LONGEST_MS) return Number.POSITIVE_INFINITY;
    if (i === 0) await evaluate(network, 2 * rows, spec); // its first run is no measure
    fastestLarge = Math.min(fastestLarge, await evaluate(network, 2 * rows, spec));
    if (fastestLarge > LONGEST_MS) return Number.POSITIVE_INFINITY;
  }
  return fastestLarge / 2 / fastestSmall;
}

/** Milliseconds of one evaluation. */
async function evaluate(network: Network, rows: number, spec: NetworkSpec): Promise<number> {
  const batch = zeros(rows, spec);
  const started = performance.now();
  try {
    await network.evaluate(batch, false);
  } catch (error) {
    const advice = rows > 1 ? `: set MAX_BATCH to ${rows >> 1} or less` : '';
    throw new EngineError(`a batch of ${rows} failed (${(error as Error).message})${advice}`);
  }
  return performance.now() - started;
}

function zeros(rows: number, { inChannels, resolution }: NetworkSpec) {
  return {
    rows,
    x: new Float32Array(rows * inChannels * resolution * resolution),
    t: new Float32Array(rows),
  };
}

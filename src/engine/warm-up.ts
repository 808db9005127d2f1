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
  const seen = new Set<number>();
  const evaluate: Evaluate = async (rows) => {
    seen.add(rows);
    return evaluateZeros(network, rows, spec);
  };
  await evaluate(1);
  const bestBatch = spec.maxBatch ?? (await findBestBatch(evaluate));
  if (spec.device === 'cpu') return { network, bestBatch };
  const sizes = batchSizes(bestBatch);
  for (const rows of sizes) if (!seen.has(rows)) await evaluate(rows);
  return { network: padded(network, sizes, spec), bestBatch };
}

/** Evaluates a batch of so many rows; resolves to the milliseconds that took. */
type Evaluate = (rows: number) => Promise<number>;

/** Sizes double while a row gets clearly cheaper. On CPUs that ends at 1; on GPUs with whatever fills them. */
async function findBestBatch(evaluate: Evaluate): Promise<number> {
  let best = 1;
  while (best * 2 <= LARGEST && (await gain(evaluate, best)) < WORTHWHILE) best *= 2;
  return best;
}

/**
 * Milliseconds a row in a batch of twice `rows`, over those in one of `rows`. Measured in turns, the fastest of each:
 * what else the machine does only ever slows a run.
 */
async function gain(evaluate: Evaluate, rows: number): Promise<number> {
  let [fastestSmall, fastestLarge] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let i = 0; i < REPEATS; i++) {
    fastestSmall = Math.min(fastestSmall, await evaluate(rows));
    if (fastestSmall > LONGEST_MS) return Number.POSITIVE_INFINITY;
    if (i === 0) await evaluate(2 * rows); // its first run is no measure
    fastestLarge = Math.min(fastestLarge, await evaluate(2 * rows));
    if (fastestLarge > LONGEST_MS) return Number.POSITIVE_INFINITY;
  }
  return fastestLarge / 2 / fastestSmall;
}

async function evaluateZeros(network: Network, rows: number, spec: NetworkSpec): Promise<number> {
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

import type { Network, NetworkSpec } from './network.ts';

/** A larger batch must be this much faster a row to be worth the wait for its rows. */
const WORTHWHILE = 0.9;
const REPEATS = 3;

/**
 * Runs the network until its first-run work (memory plans, shaders) is done, and finds the best batch: sizes double
 * while a row gets at least a tenth cheaper. On CPUs that is 1; on GPUs whatever fills them.
 */
export async function bestBatch(network: Network, spec: NetworkSpec, largest = 64): Promise<number> {
  await network.evaluate(zeros(1, spec), true);
  let best = 1;
  let bestSeconds = await secondsPerRow(network, 1, spec);
  for (let rows = 2; rows <= largest; rows *= 2) {
    const seconds = await secondsPerRow(network, rows, spec);
    if (seconds > bestSeconds * WORTHWHILE) break;
    best = rows;
    bestSeconds = seconds;
  }
  return best;
}

/** The fastest of a few runs: what else the machine does only ever slows a run. */
async function secondsPerRow(network: Network, rows: number, spec: NetworkSpec): Promise<number> {
  const batch = zeros(rows, spec);
  await network.evaluate(batch, false);
  let fastest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < REPEATS; i++) {
    const started = performance.now();
    await network.evaluate(batch, false);
    fastest = Math.min(fastest, performance.now() - started);
  }
  return fastest / 1000 / rows;
}

function zeros(rows: number, { inChannels, resolution }: NetworkSpec) {
  return {
    rows,
    x: new Float32Array(rows * inChannels * resolution * resolution),
    t: new Float32Array(rows),
  };
}

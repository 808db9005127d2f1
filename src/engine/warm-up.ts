import { EngineError, type NetworkName, type RowSeconds } from './engine.ts';
import { inputLength, type NetworkSpec, type Networks, shapeOf } from './network.ts';
import { batchSizes, padded } from './padded.ts';

/**
 * Rows of an evaluation on a CPU. Larger batches cost as much per row or more (bench/README.md) and delay the other
 * requests, so there is nothing to measure.
 */
const CPU_BATCH = 1;
/** On a GPU the batch size doubles while that lowers the cost of a row at least to this share. */
const MAX_COST_RATIO = 0.85;
/** Nor may an evaluation take longer than this: every other request waits for it. */
const MAX_EVALUATION_MS = 500;
const MAX_MEASURED_BATCH = 64;
const REPEATS = 5;
/** Evaluations that take no longer are repeated, to know how long they take. */
const QUICK_MS = 200;

/**
 * Runs every network once for every batch size that it will be given (on a CPU: for a batch of one row), so that no request
 * pays for first-run work (memory plans, shaders, choice of algorithms), and chooses the best batch size of the base network
 * unless spec.maxBatch sets it.
 *
 * A GPU repeats first-run work for each new size, so the networks returned for one pad their batches to a few sizes.
 * `rowSeconds` has the shortest time of an evaluation of each network per row, of this worker among others: they start at
 * the same time, and lengthen single evaluations. Rejects with EngineError when an evaluation fails.
 */
export async function warmUp(
  networks: Networks,
  spec: NetworkSpec,
): Promise<{ networks: Networks; bestBatch: number; rowSeconds: RowSeconds }> {
  const rowSeconds: RowSeconds = {};
  const evaluators = networks.networks.map((name) => {
    const evaluated = new Set<number>();
    const evaluate: Evaluate = async (rows, exclusive = false) => {
      evaluated.add(rows);
      const ms = await evaluateZeros(networks, name, rows, exclusive, spec);
      if (!exclusive)
        rowSeconds[name] = Math.min(rowSeconds[name] ?? Number.POSITIVE_INFINITY, ms / 1000 / rows);
      return ms;
    };
    return { evaluate, evaluated };
  });
  for (const { evaluate } of evaluators) await evaluate(1);
  if (spec.device === 'cpu') {
    for (const { evaluate } of evaluators) {
      await evaluate(1, true); // it has a session of its own
      for (let i = 1, ms = 0; i < REPEATS && ms < QUICK_MS; i++) ms = await evaluate(1);
    }
    return { networks, bestBatch: spec.maxBatch ?? CPU_BATCH, rowSeconds };
  }
  const [base] = evaluators;
  const bestBatch = spec.maxBatch ?? (networks.software ? CPU_BATCH : await measureBestBatch(base.evaluate));
  const sizes = batchSizes(bestBatch);
  for (const { evaluate, evaluated } of evaluators)
    for (const rows of sizes) if (!evaluated.has(rows)) await evaluate(rows);
  return { networks: padded(networks, sizes, spec), bestBatch, rowSeconds };
}

/** Evaluates a batch of `rows` rows; resolves to its duration in milliseconds. */
type Evaluate = (rows: number, exclusive?: boolean) => Promise<number>;

/** The largest batch size in 1, 2, 4, ... MAX_MEASURED_BATCH up to which each doubling pays. */
export async function measureBestBatch(evaluate: Evaluate): Promise<number> {
  let rows = 1;
  while (rows < MAX_MEASURED_BATCH && (await doublingPays(evaluate, rows))) rows *= 2;
  return rows;
}

/**
 * Compares batches of `rows` and of twice as many, in turns. Only the fastest evaluation of each counts: whatever else
 * the machine does can slow an evaluation down, never speed it up.
 */
async function doublingPays(evaluate: Evaluate, rows: number): Promise<boolean> {
  await evaluate(2 * rows); // first-run work is not measured
  let [smallMs, largeMs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let i = 0; i < REPEATS; i++) {
    smallMs = Math.min(smallMs, await evaluate(rows));
    largeMs = Math.min(largeMs, await evaluate(2 * rows));
  }
  return largeMs <= MAX_EVALUATION_MS && largeMs / 2 <= MAX_COST_RATIO * smallMs;
}

/**
 * Evaluates a batch of zeros; resolves to its duration in milliseconds. A network with an int8 variant evaluates the batch in
 * both number formats, and the duration is the mean of the two.
 */
async function evaluateZeros(
  networks: Networks,
  name: NetworkName,
  rows: number,
  exclusive: boolean,
  spec: NetworkSpec,
): Promise<number> {
  const shape = shapeOf(spec, name);
  const timesteps = shape.int8 ? [0, shape.int8.fromTimestep] : [0]; // one for each format
  const formats = timesteps.length;
  const t = Float32Array.from({ length: rows * formats }, (_, i) => timesteps[i % formats]);
  const batch = { network: name, rows: t.length, x: new Float32Array(t.length * inputLength(shape)), t };
  const started = performance.now();
  try {
    await networks.evaluate(batch, exclusive);
  } catch (error) {
    const advice = rows > 1 ? `: set MAX_BATCH to ${rows >> 1} or less` : '';
    throw new EngineError(`a batch of ${rows} failed (${(error as Error).message})${advice}`);
  }
  return (performance.now() - started) / formats;
}

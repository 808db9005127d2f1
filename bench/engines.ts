/**
 * npm run bench:engines: the rate of every runtime that starts here, in rows a second and relative to onnx on the CPU. Where
 * the model has an int8 network, with that too.
 * On a CPU, with batches of 1, 2, 4 and 8 rows: that is how the batch size of a CPU (engine/warm-up.ts) was chosen. On a
 * GPU, with the batch size measured at start.
 *
 * Each runtime has one worker, with one thread on a CPU. All of them take short turns, many times, and the fastest turn
 * counts: other work on the machine only ever slows one down.
 */
import type { Batch } from '../src/engine/engine.ts';
import { inputLength, type Runtime } from '../src/engine/network.ts';
import { WorkerPool } from '../src/engine/pool.ts';
import { runtimes } from '../src/engine/runtimes.ts';
import { networksOf } from '../src/model/networks.ts';
import { FolderRegistry } from '../src/registry/registry.ts';

const ROUNDS = 15;
/** For a runtime that takes more than a second for a row, such as WebGPU on a driver that computes on the CPU. */
const SLOW_ROUNDS = 3;
const TURN_MS = 300;
const CPU_BATCHES = [1, 2, 4, 8];

/** int8: with the int8 network of the model, where it has one. */
const candidates: (Runtime & { int8?: boolean })[] = [
  ...runtimes({ engine: 'onnx', device: 'cpu' }),
  ...runtimes({ engine: 'onnx', device: 'cpu' }).map((runtime) => ({ ...runtime, int8: true })),
  ...runtimes({ engine: 'onnx', device: 'cuda' }),
  ...runtimes({ engine: 'onnx', device: 'webgpu' }),
  // Not the backend in plain JavaScript, which takes seconds for a row.
  ...runtimes({ engine: 'tfjs', device: 'auto' }).filter(({ library }) => !library.endsWith('backend-cpu')),
];

const registry = await FolderRegistry.open({
  modelDir: process.env.MODEL_DIR ?? 'models',
  engine: { engine: 'onnx', device: 'cpu' },
  queue: { limit: 1 },
});
const { card, folder, ref } = registry.get();
const { base } = networksOf(card);
const int8 = networksOf(card, { int8: true }).base;

interface Measured {
  pool: WorkerPool;
  rows: number;
  /** Rows a second of each turn. */
  rates: number[];
}

const pools: WorkerPool[] = [];
const measured: Measured[] = [];
for (const { int8: inInt8, ...runtime } of candidates.filter((each) => !each.int8 || int8.int8)) {
  try {
    const pool = await WorkerPool.start({
      spec: { folder, networks: { base: inInt8 ? int8 : base }, threads: 1, ...runtime },
      workers: 1,
    });
    pools.push(pool);
    const batches = runtime.device === 'cpu' ? CPU_BATCHES : [pool.info.bestBatch];
    for (const rows of batches) measured.push({ pool, rows, rates: [] });
  } catch (error) {
    console.log(`not on ${runtime.library} (${runtime.device}): ${(error as Error).message}`);
  }
}

/** Rows a second of one turn, which is one evaluation where that takes longer. */
async function turn({ pool, rows }: Measured): Promise<number> {
  const x = new Float32Array(rows * inputLength(base));
  const batch: Batch = { network: 'base', rows, x, t: new Float32Array(rows).fill(500) };
  const started = performance.now();
  let [evaluations, elapsedMs] = [0, 0];
  while (elapsedMs < TURN_MS) {
    await pool.evaluate(batch);
    evaluations++;
    elapsedMs = performance.now() - started;
  }
  return (1000 * evaluations * rows) / elapsedMs;
}

for (let round = 0; round < ROUNDS; round++) {
  for (const each of measured) {
    const slow = each.rates.some((rate) => rate < 1);
    if (!slow || round < SLOW_ROUNDS) each.rates.push(await turn(each));
  }
}

/** The fastest turn's rate over that of `other`, and the median of the ratios within each round. */
function compare(each: Measured, other: Measured): string {
  const fastest = Math.max(...each.rates) / Math.max(...other.rates);
  const ratios = each.rates.map((rate, round) => rate / other.rates[round]).sort((a, b) => a - b);
  return `${fastest.toFixed(3)} (${ratios[ratios.length >> 1].toFixed(3)})`;
}

console.log(`\n${ref}, ${ROUNDS} rounds; ratios of the fastest turns, in brackets the median of the rounds`);
const [onnx] = measured;
for (const each of measured) {
  const { library, device, deviceName, precision } = each.pool.info;
  const first = measured.find(({ pool }) => pool === each.pool) ?? each;
  console.log(
    `${library} on ${device} (${deviceName}) in ${precision}, batch ${each.rows}: ${Math.max(...each.rates).toPrecision(3)} rows/s, ` +
      `${compare(each, onnx)} of onnx on the CPU, ${compare(each, first)} of batch ${first.rows}`,
  );
}
await Promise.all(pools.map((pool) => pool.close()));
await registry.close();

/**
 * npm run bench:engines: rows per second of every runtime that starts on this machine, relative to onnxruntime on the CPU.
 *
 * Each runtime has one worker: on the CPU with one thread and one row at a time, elsewhere with its best batch. They run
 * in many short turns, and the fastest turn of each counts, because other work on the machine only slows it down.
 */
import type { Runtime } from '../src/engine/network.ts';
import { WorkerPool } from '../src/engine/pool.ts';
import { runtimes } from '../src/engine/runtimes.ts';
import { FolderRegistry } from '../src/registry/registry.ts';

const ROUNDS = 15;
/** For runtimes that need more than a second per row, such as WebGPU on a driver that computes on the CPU. */
const SLOW_ROUNDS = 3;
const TURN_MS = 300;

const candidates: Runtime[] = [
  ...runtimes({ engine: 'onnx', device: 'cpu' }),
  ...runtimes({ engine: 'onnx', device: 'cuda' }),
  ...runtimes({ engine: 'onnx', device: 'webgpu' }),
  // Without the plain JavaScript backend, which needs seconds per row.
  ...runtimes({ engine: 'tfjs', device: 'auto' }).filter(({ library }) => !library.endsWith('backend-cpu')),
];

const registry = await FolderRegistry.open({
  modelDir: process.env.MODEL_DIR ?? 'models',
  engine: { engine: 'onnx', device: 'cpu', queueLimit: 1 },
});
const { card, folder, ref } = registry.get();
const { architecture, resolution, in_channels: inChannels, out_channels: outChannels } = card;
const model = { folder, architecture, resolution, inChannels, outChannels, threads: 1 };

const pools: WorkerPool[] = [];
for (const runtime of candidates) {
  try {
    const maxBatch = runtime.device === 'cpu' ? 1 : undefined;
    pools.push(await WorkerPool.start({ spec: { ...model, ...runtime, maxBatch }, workers: 1 }));
  } catch (error) {
    console.log(`not on ${runtime.library} (${runtime.device}): ${(error as Error).message}`);
  }
}

/** Rows per second in one turn, of at least one evaluation. */
async function turn(pool: WorkerPool): Promise<number> {
  const rows = pool.info.bestBatch;
  const x = new Float32Array(rows * inChannels * resolution ** 2);
  const batch = { rows, x, t: new Float32Array(rows).fill(500) };
  const started = performance.now();
  let [evaluations, took] = [0, 0];
  while (took < TURN_MS) {
    await pool.evaluate(batch);
    evaluations++;
    took = performance.now() - started;
  }
  return (1000 * evaluations * rows) / took;
}

const measured = pools.map(() => [] as number[]);
for (let round = 0; round < ROUNDS; round++) {
  for (const [i, pool] of pools.entries()) {
    const slow = measured[i].some((rowsPerSecond) => rowsPerSecond < 1);
    if (!slow || round < SLOW_ROUNDS) measured[i].push(await turn(pool));
  }
}

const [onnx] = measured;
const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];
console.log(`\n${ref}, ${ROUNDS} rounds`);
for (const [i, { info }] of pools.entries()) {
  const fastest = Math.max(...measured[i]);
  const ofFastest = fastest / Math.max(...onnx);
  const ofRounds = median(measured[i].map((rowsPerSecond, round) => rowsPerSecond / onnx[round]));
  console.log(
    `${info.library} on ${info.device} (${info.deviceName}), batch ${info.bestBatch}: ${fastest.toPrecision(3)} rows/s, ` +
      `${ofFastest.toFixed(3)} of onnx on the CPU (median of the rounds ${ofRounds.toFixed(3)})`,
  );
}
await Promise.all(pools.map((pool) => pool.close()));
await registry.close();

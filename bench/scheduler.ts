/**
 * npm run bench:scheduler: costs and benefits of step-level batching, as ratios within one run.
 *
 * 1. Throughput of 64 requests with mixed samplers and 5 to 100 steps, relative to the bare engine at its best batch.
 * 2. Time of a 5-step request behind eight 200-step requests, relative to its time on an idle service.
 */
import type { Batch } from '../src/engine/engine.ts';
import { sample } from '../src/generation/sample.ts';
import { ModelVersion } from '../src/registry/model-version.ts';
import { FolderRegistry } from '../src/registry/registry.ts';

const registry = await FolderRegistry.open({
  modelDir: process.env.MODEL_DIR ?? 'models',
  engine: { engine: 'onnx', device: 'cpu' },
  queue: { limit: 1000 },
});
const model = registry.get();
const { engine, scheduler } = await model.open();
if (!(model instanceof ModelVersion) || !model.pool) throw new Error('not loaded');
const pool = model.pool;
console.log(
  `${model.ref} on ${engine.engine}/${engine.device}, ${engine.workers} workers, batch ${engine.bestBatch}`,
);

const SAMPLERS = ['ddim', 'ddpm', 'dpmpp_2m'] as const;
const parameters = (seed: number, steps: number) => ({
  seed,
  numImages: 1,
  sampler: SAMPLERS[seed % SAMPLERS.length],
  steps,
  eta: 0,
});
const seconds = async (work: () => Promise<unknown>) => {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
};

/** Rows per second with every worker kept busy at the best batch. */
async function bareEngine(evaluations: number): Promise<number> {
  const { in_channels, resolution } = model.card;
  const rows = engine.bestBatch;
  const batch: Batch = {
    network: 'base',
    rows,
    x: new Float32Array(rows * in_channels * resolution ** 2),
    t: new Float32Array(rows).fill(500),
  };
  let left = Math.ceil(evaluations / rows);
  const keepBusy = async () => {
    while (left-- > 0) await pool.evaluate(batch);
  };
  const took = await seconds(() => Promise.all(Array.from({ length: engine.workers * 2 }, keepBusy)));
  return (Math.ceil(evaluations / rows) * rows) / took;
}

async function mixedClients(): Promise<number> {
  const steps = Array.from({ length: 64 }, (_, i) => 5 + Math.round((95 * ((i * 29) % 64)) / 63));
  const evaluations = steps.reduce((a, b) => a + b, 0);
  const took = await seconds(() => Promise.all(steps.map((n, i) => sample(model, parameters(i, n)))));
  return evaluations / took;
}

await bareEngine(50);
const ratios: number[] = [];
for (let round = 0; round < 3; round++) {
  const before = await bareEngine(600);
  const mixed = await mixedClients();
  const after = await bareEngine(600);
  ratios.push(mixed / ((before + after) / 2));
  console.log(
    `64 mixed clients: ${mixed.toFixed(1)} evaluations/s, bare engine ${before.toFixed(1)} and ${after.toFixed(1)}`,
  );
}
console.log(`throughput relative to the bare engine: ${ratios.map((r) => r.toFixed(3)).join(', ')}`);

const own = await seconds(() => sample(model, parameters(1, 5)));
const long = Array.from({ length: 8 }, (_, i) => sample(model, parameters(i, 200)));
await new Promise((resolve) => setTimeout(resolve, 2000));
const behind = await seconds(() => sample(model, parameters(1, 5)));
console.log(
  `5 steps behind eight of 200: ${(behind / own).toFixed(1)} times its own time; waiting and active ${JSON.stringify(scheduler.depth)}`,
);
await Promise.all(long);
await registry.close();

/**
 * npm run bench:gpu-model: how busy the HTTP process keeps a GPU, with a model of one: an NVIDIA H200 with WebGPU evaluates
 * a batch of n rows of celeba-inpaint-64 in 8.2 + 0.21 n ms (docs/gpu.md). Scheduler and samplers are the service's own;
 * requests, pictures and IPC are left out. The rule that splits rows between two batches is on and off in turns.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createSampler } from '../src/diffusion/samplers/index.ts';
import { scheduleFrom } from '../src/diffusion/schedule.ts';
import type { Batch, Engine } from '../src/engine/engine.ts';
import { ConditionalTrajectory } from '../src/generation/trajectories/conditional.ts';
import { Admission } from '../src/scheduler/admission.ts';
import { SPLIT_ROWS } from '../src/scheduler/batch-size.ts';
import { Scheduler } from '../src/scheduler/scheduler.ts';

const RESOLUTION = 64;
const STEPS = 12;
const ROUNDS = 5;
const SECONDS = 2;
const evaluationMs = (rows: number) => 8.2 + 0.21 * rows;

/** A worker that evaluates one batch after another, and how long it has been busy. */
class ModelledGpu implements Engine {
  readonly info = {
    engine: 'onnx',
    device: 'webgpu',
    deviceName: 'model of a GPU',
    library: 'none',
    precision: 'fp32',
    networks: ['base'],
    bestBatch: 64,
    workers: 1,
  } as Engine['info'];
  readonly rowSeconds = {};
  readonly alive = 1;
  onAliveChange = undefined;
  busyMs = 0;
  rows = 0;
  #last: Promise<unknown> = Promise.resolve();

  async evaluate({ rows }: Batch): Promise<Float32Array> {
    const ms = evaluationMs(rows);
    this.#last = this.#last.then(() => sleep(ms));
    await this.#last;
    this.busyMs += ms;
    this.rows += rows;
    return new Float32Array(rows * 3 * RESOLUTION ** 2);
  }

  async close() {}
}

const schedule = scheduleFrom({ type: 'cosine', T: 1000, s: 0.008, abar_min: 1e-5 });
const sampler = createSampler('dpmpp_2m', { schedule, prediction: 'v', steps: STEPS, eta: 0 });
const pixels = RESOLUTION ** 2;
const known = { x0: new Float32Array(3 * pixels), mask: new Float32Array(pixels).fill(1) };

/** Rows a second and share of the time that the GPU was busy, with so many clients that each always have one request. */
async function measure(clients: number, splitRows: number) {
  const engine = new ModelledGpu();
  const scheduler = new Scheduler({ engine, admission: new Admission({ limit: 1000 }), splitRows });
  const started = performance.now();
  const until = started + SECONDS * 1000;
  const client = async (seed: number) => {
    while (performance.now() < until)
      await scheduler.run([
        new ConditionalTrajectory({ sampler, schedule, conditioning: known, seed, candidate: 0 }),
      ]);
  };
  await Promise.all(Array.from({ length: clients }, (_, seed) => client(seed)));
  const ms = performance.now() - started;
  return { rowsPerSecond: (1000 * engine.rows) / ms, busy: engine.busyMs / ms };
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1];

await measure(8, SPLIT_ROWS); // warm-up
console.log('clients | rows/s whole | GPU busy | rows/s split | GPU busy | split over whole');
for (const clients of [8, 16, 32, 64, 128]) {
  const [whole, split] = [[], []] as Awaited<ReturnType<typeof measure>>[][];
  for (let i = 0; i < ROUNDS; i++) {
    whole.push(await measure(clients, Number.POSITIVE_INFINITY));
    split.push(await measure(clients, SPLIT_ROWS));
  }
  const of = (runs: typeof whole) =>
    `${median(runs.map((run) => run.rowsPerSecond)).toFixed(0)} | ${median(runs.map((run) => run.busy)).toFixed(2)}`;
  const ratio = median(split.map((run, i) => run.rowsPerSecond / whole[i].rowsPerSecond));
  console.log(`${clients} | ${of(whole)} | ${of(split)} | ${ratio.toFixed(2)}`);
}

/**
 * npm run bench:http-process: what the HTTP process does for a row, apart from the network. For each resolution:
 *
 * 1. The CPU time of each part of a denoising step, in milliseconds per row, by running the service's own code: noise,
 *    samplers, IPC to a worker, and the scheduler's batch buffers.
 * 2. How long the event loop is blocked at most while a request for 8 images starts, and while 8 rows advance in batches
 *    of one row and of eight.
 *
 * The worker predicts zeros at once (zero-worker.ts), so nothing else happens in the process.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { gaussian } from '../src/diffusion/noise.ts';
import { createSampler, type SamplerName } from '../src/diffusion/samplers/index.ts';
import { scheduleFrom } from '../src/diffusion/schedule.ts';
import type { Batch, Engine, NetworkName } from '../src/engine/engine.ts';
import { WorkerPool } from '../src/engine/pool.ts';
import { ConditionalTrajectory } from '../src/generation/trajectories/conditional.ts';
import { Admission } from '../src/scheduler/admission.ts';
import { Scheduler } from '../src/scheduler/scheduler.ts';

const RESOLUTIONS = (process.env.RESOLUTIONS ?? '64,128,256').split(',').map(Number);
const SAMPLERS: { name: SamplerName; eta: number }[] = [
  { name: 'ddim', eta: 0 },
  { name: 'ddim', eta: 1 },
  { name: 'dpmpp_2m', eta: 0 },
  { name: 'ddpm', eta: 0 },
];
const STEPS = 10;
const ROWS = 8;
const REPEATS = 15;

const schedule = scheduleFrom({ type: 'cosine', T: 1000, s: 0.008, abar_min: 1e-5 });
const samplerOf = ({ name, eta }: (typeof SAMPLERS)[number]) =>
  createSampler(name, { schedule, prediction: 'v', steps: STEPS, eta });

/** The scheduler's engine with the IPC left out: predicts zeros in this process. */
function zeroEngine(resolution: number): Engine {
  const info = {
    engine: 'onnx',
    device: 'cpu',
    deviceName: 'none',
    library: 'none',
    precision: 'fp32',
  } as const;
  const networks: NetworkName[] = ['base'];
  return {
    info: { ...info, networks, bestBatch: 1, workers: 1 },
    rowSeconds: {},
    alive: 1,
    onAliveChange: undefined,
    evaluate: async ({ rows }) => new Float32Array(rows * 3 * resolution ** 2),
    close: async () => {},
  };
}

function startPool(resolution: number, maxBatch: number): Promise<WorkerPool> {
  const runtime = { engine: 'onnx', device: 'cpu', library: 'none', threads: 1 } as const;
  const base = { file: '', inChannels: 4, outChannels: 3, resolution };
  const spec = { ...runtime, folder: '', networks: { base }, maxBatch };
  return WorkerPool.start({ spec, workers: 1, entry: new URL('./zero-worker.ts', import.meta.url) });
}

function trajectories(resolution: number, sampler = samplerOf(SAMPLERS[3])): ConditionalTrajectory[] {
  const pixels = resolution ** 2;
  const conditioning = { x0: new Float32Array(3 * pixels), mask: new Float32Array(pixels).fill(1) };
  const options = { sampler, schedule, conditioning, seed: 1 };
  return Array.from({ length: ROWS }, (_, candidate) => new ConditionalTrajectory({ ...options, candidate }));
}

/** CPU time of this process for one call of `work`, which does `count` times the same: the median, in milliseconds. */
async function cpuMs(work: () => unknown, count = 1): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < REPEATS; i++) {
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) / 1000 / count);
  }
  return times.sort((a, b) => a - b)[REPEATS >> 1];
}

async function measureParts(resolution: number): Promise<Record<string, number>> {
  const length = 3 * resolution ** 2;
  const noise = gaussian({ seed: 1, candidate: 0, step: 0 }, length);
  const prediction = noise.map((value) => value / 2);
  const times = (work: () => unknown) => () => {
    for (let i = 0; i < ROWS; i++) work();
  };
  const parts: Record<string, number> = {};
  parts['noise: gaussian()'] = await cpuMs(
    times(() => gaussian({ seed: 1, candidate: 0, step: 1 }, length)),
    ROWS,
  );
  for (const each of SAMPLERS) {
    const state = { step: 4, x: noise, x0: prediction };
    const sampler = samplerOf(each);
    const name = `sampler: ${each.name}${each.name === 'ddim' ? `, eta ${each.eta}` : ''}, without its noise`;
    parts[name] = await cpuMs(
      times(() => sampler.next(state, prediction, () => noise)),
      ROWS,
    );
  }
  const pool = await startPool(resolution, 1);
  const x = new Float32Array(4 * resolution ** 2);
  const batch: Batch = { network: 'base', rows: 1, x, t: new Float32Array(1) };
  parts['IPC: a row to a worker and its prediction back'] = await cpuMs(async () => {
    for (let i = 0; i < ROWS; i++) await pool.evaluate(batch);
  }, ROWS);
  await pool.close();

  // A sampler without noise: what is left after its step is the input, the batch's buffers and the scheduling.
  const scheduler = new Scheduler({
    engine: zeroEngine(resolution),
    admission: new Admission({ limit: ROWS }),
  });
  const ddim = samplerOf(SAMPLERS[0]);
  const all = await cpuMs(() => scheduler.run(trajectories(resolution, ddim)), ROWS * STEPS);
  const start = await cpuMs(() => trajectories(resolution, ddim), ROWS * STEPS); // draws x_T
  parts['batches: input, assembling, splitting, scheduling'] =
    all - start - parts['sampler: ddim, eta 0, without its noise'];
  return parts;
}

/**
 * Longest time in milliseconds for which the event loop did not turn during `work`: the smallest of some runs, because
 * whatever else the machine does only makes it longer.
 */
async function longestBlockMs(work: () => Promise<unknown>): Promise<number> {
  const blocked: number[] = [];
  for (let i = 0; i < REPEATS; i++) {
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    await sleep(5); // the histogram starts with its first tick
    await work();
    await sleep(5); // a block is recorded when the timer ticks next
    delay.disable();
    blocked.push(delay.max / 1e6);
  }
  return Math.min(...blocked);
}

async function measureBlocks(resolution: number): Promise<Record<string, number>> {
  const blocks: Record<string, number> = {};
  blocks['nothing to do'] = await longestBlockMs(() => sleep(100));
  blocks[`a request for ${ROWS} images draws its first noise`] = await longestBlockMs(async () =>
    trajectories(resolution),
  );
  for (const maxBatch of [1, ROWS]) {
    const pool = await startPool(resolution, maxBatch);
    const scheduler = new Scheduler({ engine: pool, admission: new Admission({ limit: ROWS * REPEATS }) });
    const requests = Array.from({ length: REPEATS }, () => trajectories(resolution));
    const rows = () => requests.pop() ?? [];
    blocks[`${ROWS} rows advance in batches of ${maxBatch}`] = await longestBlockMs(() =>
      scheduler.run(rows()),
    );
    await pool.close();
  }
  return blocks;
}

async function print(title: string, measure: (resolution: number) => Promise<Record<string, number>>) {
  const columns = [];
  for (const resolution of RESOLUTIONS) columns.push(await measure(resolution));
  console.log(`\n${title}\n| | ${RESOLUTIONS.map((r) => `${r} px`).join(' | ')} |`);
  console.log(`| --- |${' --- |'.repeat(RESOLUTIONS.length)}`);
  for (const name of Object.keys(columns[0])) {
    console.log(`| ${name} | ${columns.map((column) => column[name].toFixed(2)).join(' | ')} |`);
  }
}

await print('CPU milliseconds per row and step', measureParts);
await print('Longest block of the event loop in milliseconds, sampler ddpm', measureBlocks);

/**
 * npm run bench:busy-start: does a service that started on a busy machine serve as fast as one that started on a quiet
 * one? Starts the built service twice, the second time beside as many busy loops as there are usable cores, then stops
 * the loops and measures both services in turns. Exits 1 unless the second serves 0.8 to 1.25 of what the first does.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { usableCores } from '../src/machine.ts';
import { atExit } from '../tests/helpers/at-exit.ts';
import { startService } from './service.ts';

const CLIENTS = 8;
const STEPS = 12;
const ROUNDS = Number(process.env.ROUNDS ?? 5);
const TURN_MS = 8000;
const MIN_RATIO = 0.8;

interface Engine {
  workers: number;
  workers_reason: string;
  best_batch: number;
}

const quiet = await startService();
const loops = Array.from({ length: usableCores() }, startBusyLoop);
const busy = await startService();
for (const loop of loops) loop.kill('SIGKILL');

const services = { 'quiet start': quiet.url, 'busy start': busy.url };
for (const [name, url] of Object.entries(services)) console.log(`${name}: ${await describeEngine(url)}`);

const rates: number[][] = [];
for (let round = 0; round < ROUNDS; round++) {
  const rate = [await imagesPerSecond(quiet.url), await imagesPerSecond(busy.url)];
  rates.push(rate);
  console.log(`images/s after a quiet and a busy start: ${rate.map((n) => n.toFixed(2)).join(', ')}`);
}
const ratio = median(rates.map(([quiet, busy]) => busy / quiet));
console.log(`busy start over quiet start, median of ${ROUNDS} rounds: ${ratio.toFixed(2)}`);
for (const { child } of [quiet, busy]) child.kill('SIGTERM');
process.exitCode = ratio < MIN_RATIO || ratio > 1 / MIN_RATIO ? 1 : 0;

/** A process that uses all of one core until it is killed. */
function startBusyLoop(): ChildProcess {
  const loop = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
  atExit(() => loop.kill('SIGKILL'));
  return loop;
}

/** The default model's number of workers, why it is that many, and its batch size. */
async function describeEngine(url: string): Promise<string> {
  const response = await fetch(`${url}/v1/models`);
  const { models } = (await response.json()) as { models: { default: boolean; engine: Engine }[] };
  const { workers, workers_reason, best_batch } = (models.find((model) => model.default) ?? models[0]).engine;
  return `workers: ${workers} (${workers_reason}); best batch: ${best_batch}`;
}

/** Images that CLIENTS clients, each with one request at a time, are sent in a second. */
async function imagesPerSecond(url: string): Promise<number> {
  const started = performance.now();
  let images = 0;
  const client = async (seed: number) => {
    while (performance.now() - started < TURN_MS) {
      const body = JSON.stringify({ seed, steps: STEPS });
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${url}/v1/sample`, { method: 'POST', headers, body });
      await response.arrayBuffer();
      if (!response.ok) throw new Error(`/v1/sample answered ${response.status}`);
      images++;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, seed) => client(seed)));
  return (1000 * images) / (performance.now() - started);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

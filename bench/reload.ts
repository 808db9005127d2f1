/**
 * npm run bench:reload -- [times]: do model reloads lose requests or leak memory? Repeatedly copies a version into
 * MODEL_DIR of the running service, promotes it, and removes the previous one, while clients fill holes. Exits 1 on a
 * response other than 2xx and 429, or if the memory of the HTTP process grew by more than a tenth between the first and
 * the last third of the reloads.
 */
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promote } from '../src/registry/promotions.ts';
import { keepAsking, startTally } from './clients.ts';
import { type Memory, mean, memoryOf } from './memory.ts';
import { IMAGE_MALLOC, startService } from './service.ts';

const TIMES = Number(process.argv[2] ?? 100);
const ID = 'celeba-inpaint-64';
const CLIENTS = 2;
const MOST_GROWTH = 0.1;
const SAID_EVERY = 10;
const LONGEST_RELOAD_MS = 300_000;

const folder = await mkdtemp(path.join(os.tmpdir(), 'reload-'));
const place = { modelDir: folder, file: path.join(folder, 'serving.json') };
await drop(1);
await promote(place, `${ID}@1`);
const { child, pid, url } = await startService({
  MODEL_DIR: folder,
  RELOAD_INTERVAL_MS: '100',
  DEVICE: 'cpu',
  JOB_TTL_MS: '30000', // finished jobs are kept in memory; this reaches a steady state soon
  ...IMAGE_MALLOC,
});
const { tally, count } = startTally();
const end = new AbortController();
const clients = keepAsking(url, CLIENTS, count, end.signal);

const after: Memory[] = [];
console.log('| reloads | HTTP process, MB | workers, MB |\n| --- | --- | --- |');
const started = performance.now();
for (let version = 2; version <= TIMES + 1; version++) {
  await drop(version);
  await untilServed(version);
  await promote(place, `${ID}@${version}`);
  await untilDefault(version);
  await rm(path.join(folder, ID, String(version - 1)), { recursive: true });
  after.push(memoryOf(pid));
  if (after.length % SAID_EVERY === 0) {
    const { http, workers } = mean(after.slice(-SAID_EVERY));
    console.log(`| ${after.length} | ${http.toFixed(0)} | ${workers.toFixed(0)} |`);
  }
}
const seconds = (performance.now() - started) / 1000;
end.abort();
await clients;
child.kill('SIGTERM');
await rm(folder, { recursive: true });

const third = Math.ceil(after.length / 3);
const [first, last] = [mean(after.slice(0, third)), mean(after.slice(-third))];
const growth = last.http / first.http - 1;
const answers = [...tally].sort().map(([what, times]) => `${times} × ${what}`);
console.log(`${TIMES} reloads in ${seconds.toFixed(0)} s; answers: ${answers.join(', ')}`);
console.log(
  `HTTP process: ${first.http.toFixed(0)} MB in the first third, ${last.http.toFixed(0)} MB in the last ` +
    `(${(growth * 100).toFixed(1)} %); workers: ${first.workers.toFixed(0)} and ${last.workers.toFixed(0)} MB`,
);
const lost = [...tally.keys()].filter((what) => !/^(2..|429|disconnected)$/.test(what));
if (lost.length > 0 || growth > MOST_GROWTH) process.exitCode = 1;

/** Copies the committed model under another version number, and renames it at the end: an incomplete folder is refused. */
async function drop(version: number) {
  const [part, to] = [path.join(folder, `.${version}.part`), path.join(folder, ID, String(version))];
  await cp(path.join('models', ID, '1'), part, { recursive: true });
  const card = JSON.parse(await readFile(path.join(part, 'model.json'), 'utf8'));
  await writeFile(path.join(part, 'model.json'), JSON.stringify({ ...card, version: String(version) }));
  await mkdir(path.dirname(to), { recursive: true });
  await rename(part, to);
}

function untilServed(version: number) {
  return until(async () => (await fetch(`${url}/v1/models/${ID}@${version}`)).ok);
}

function untilDefault(version: number) {
  return until(async () => {
    const { models } = (await (await fetch(`${url}/v1/models`)).json()) as { models: Listed[] };
    return models.some(({ ref, ...model }) => ref === `${ID}@${version}` && model.default);
  });
}

interface Listed {
  ref: string;
  default: boolean;
}

async function until(holds: () => Promise<boolean>) {
  const late = performance.now() + LONGEST_RELOAD_MS;
  while (!(await holds())) {
    if (performance.now() > late) throw new Error('a version was not loaded within five minutes');
    await sleep(50);
  }
}

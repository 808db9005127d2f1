/**
 * npm run bench:chaos: runs 1,000 jobs on three replicas and one Redis, while a replica is killed with SIGKILL every few
 * seconds and Redis is restarted once. Exits 1 unless every job ends exactly once, with the picture of its seed.
 *
 * Starts the built service and redis-server. The environment variables JOBS and KILL_EVERY_S change the scale, FIRST_PORT the ports.
 */
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { RedisServer } from '../tests/helpers/redis.ts';
import { FIRST_PORT, startReplica } from './replicas.ts';

const JOBS = Number(process.env.JOBS ?? 1000);
const KILL_EVERY_S = Number(process.env.KILL_EVERY_S ?? 5);
const SEEDS = Math.min(50, JOBS);
const SUBMITTERS = 16;

interface JobAnswer {
  id: string;
  status: string;
  error?: object;
  images: string[];
}

const redis = await RedisServer.start();
const ports = [0, 1, 2].map((n) => FIRST_PORT + n);
const replicas = new Map<number, ChildProcess>();
await Promise.all(ports.map(start));

const counts = { killed: 0, triedAgain: 0 };
const started = performance.now();
let over = false;
const killing = killNowAndThen();
const body = (i: number) => ({ task: 'sample', seed: i % SEEDS, steps: 4 + (i % 5) });

const ids: string[] = [];
let next = 0;
await Promise.all(Array.from({ length: SUBMITTERS }, submitSome));
console.log(`${ids.length} jobs accepted`);
await redis.stop();
await sleep(1000);
await redis.start();
console.log('Redis restarted');

const jobs = new Map<string, JobAnswer>();
for (const id of new Set(ids)) {
  jobs.set(id, await ended(id)); // one by one: a list of jobs has at most 1000
  process.stdout.write(`\r${jobs.size} of ${ids.length} ended, ${counts.killed} replicas killed `);
}
over = true;
await killing;
const seconds = (performance.now() - started) / 1000;

// The picture of each seed, requested directly.
const expected = new Map<string, string>();
for (let i = 0; i < JOBS; i++) {
  const { task, ...wanted } = body(i);
  const key = JSON.stringify(wanted);
  if (!expected.has(key))
    expected.set(key, digest(await post('/v1/sample', wanted, { accept: 'image/png' })));
}
let different = 0;
let results = 0;
for (const [i, id] of ids.entries()) {
  const { task, ...wanted } = body(i);
  const image = jobs.get(id)?.images[0];
  if (!image || digest(await fetched(image)) !== expected.get(JSON.stringify(wanted))) different++;
  const events = (await fetched(`/v1/jobs/${id}/events`)).toString();
  results += events.match(/^event: result$/gm)?.length ?? 0;
}
const statuses = [...jobs.values()].reduce<Record<string, number>>((sum, { status }) => {
  sum[status] = (sum[status] ?? 0) + 1;
  return sum;
}, {});
console.log(
  `\n${JOBS} jobs in ${seconds.toFixed(0)} s, ${counts.killed} replicas killed, Redis restarted once`,
);
console.log(`requests retried on another replica: ${counts.triedAgain}`);
console.log(
  `ended: ${JSON.stringify(statuses)}; result events: ${results}; distinct ids: ${new Set(ids).size}`,
);
for (const { status, error } of [...jobs.values()].filter(({ status }) => status !== 'succeeded').slice(0, 3))
  console.log(status, JSON.stringify(error));
console.log(`pictures that differ from those requested directly with the same seed: ${different}`);

for (const child of replicas.values()) child.kill('SIGKILL');
await redis.remove();
const good = statuses.succeeded === JOBS && results === JOBS && new Set(ids).size === JOBS && different === 0;
process.exit(good ? 0 : 1);

async function start(port: number) {
  replicas.set(port, await startReplica(port, redis.url));
}

/** Kills one replica after the other, each only after the previous one is ready again. */
async function killNowAndThen() {
  for (let n = 0; !over; n = (n + 1) % ports.length) {
    await sleep(KILL_EVERY_S * 1000);
    const child = replicas.get(ports[n]);
    if (over || !child) break;
    child.kill('SIGKILL');
    await once(child, 'exit');
    counts.killed++;
    await start(ports[n]);
  }
}

async function submitSome() {
  while (next < JOBS) {
    const i = next++;
    const job = JSON.parse(
      (await post('/v1/jobs', body(i), { 'idempotency-key': `chaos-${i}` })).toString(),
    ) as JobAnswer;
    ids[i] = job.id;
  }
}

/** Retries on the next replica until the request succeeds; throws on a 4xx other than 429. */
async function fetched(path: string, init: RequestInit = {}): Promise<Buffer> {
  for (let turn = 0; ; turn++) {
    const port = ports[turn % ports.length];
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, init).catch(() => undefined);
    try {
      if (answer?.ok) return Buffer.from(await answer.arrayBuffer());
    } catch {
      // the replica was killed while it answered
    }
    if (answer && answer.status < 500 && answer.status !== 429 && !answer.ok)
      throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    counts.triedAgain++;
    await sleep(200);
  }
}

function post(path: string, data: object, headers: Record<string, string>): Promise<Buffer> {
  const sent = { 'content-type': 'application/json', ...headers };
  return fetched(path, { method: 'POST', headers: sent, body: JSON.stringify(data) });
}

/** A job when it has ended. */
async function ended(id: string): Promise<JobAnswer> {
  for (;;) {
    const job = JSON.parse((await fetched(`/v1/jobs/${id}`)).toString()) as JobAnswer;
    if (!['queued', 'running'].includes(job.status)) return job;
    await sleep(500);
  }
}

function digest(file: Buffer): string {
  return createHash('sha256').update(file).digest('hex');
}

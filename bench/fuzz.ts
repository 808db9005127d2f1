/**
 * npm run fuzz -- [cases] [seed] [first]: sends malformed pictures, forms, JSON, headers, paths, keys and HTTP to the built
 * service with its real model. The same seed gives the same cases; `npm run fuzz -- 1 SEED N` runs only case N. Exits 1
 * if a response is wrong (tests/fuzz/ask.ts defines this), a process died, memory grew by more than a tenth between the
 * third and the fourth quarter of the run, or a valid request no longer returns the same bytes.
 */
import { hashKey, newKey } from '../src/config/api-keys.ts';
import { ask, complaint } from '../tests/fuzz/ask.ts';
import { drawCase } from '../tests/fuzz/cases.ts';
import { drawCorpus } from '../tests/fuzz/pictures.ts';
import { type Memory, mean, memoryOf } from './memory.ts';
import { IMAGE_MALLOC, startService } from './service.ts';

const [CASES = 20_000, SEED = 1, FIRST = 0] = process.argv.slice(2).map(Number);
const CLIENTS = 8;
const LOOKS = 80;
const MOST_GROWTH = 0.1;

const apiKey = newKey();
const target = { corpus: await drawCorpus(), apiKey };
const { child, pid, url } = await startService({
  API_KEYS: `fuzz:${hashKey(apiKey).toString('hex')}`,
  MAX_UPLOAD_BYTES: '1000000',
  JOB_TTL_MS: '1000',
  LOG_LEVEL: 'info',
  ...IMAGE_MALLOC,
});
let ended = false;
child.once('exit', () => {
  ended = true;
});

const before = await good();
const answers = new Map<string, number>();
const complaints: string[] = [];
const memory: Memory[] = [];
const started = performance.now();
const last = FIRST + CASES;
let next = FIRST;
await Promise.all(Array.from({ length: CLIENTS }, client));
const seconds = (performance.now() - started) / 1000;
const same = !ended && before.equals(await good());
const restarts = ended ? 'the service exited' : await restarted();
child.kill('SIGTERM');

const statuses = [...answers].sort(([a], [b]) => a.localeCompare(b));
console.log(`${CASES} cases of seed ${SEED} in ${seconds.toFixed(0)} s`);
console.log(statuses.map(([status, n]) => `${status}: ${n}`).join(', '));
const eighth = memory.length >> 3;
const series = Array.from({ length: 8 }, (_, i) => mean(memory.slice(i * eighth, (i + 1) * eighth)));
const inMegabytes = (of: keyof Memory) => series.map((each) => each[of].toFixed(0)).join(', ');
console.log(
  `resident MB by eighths of the run: HTTP process ${inMegabytes('http')}; workers ${inMegabytes('workers')}`,
);
console.log(`workers restarted: ${restarts}`);
console.log(`a valid request afterwards: ${same ? 'the same bytes as before' : 'NOT the same bytes'}`);
for (const line of complaints.slice(0, 50)) console.log(line);
console.log(`${complaints.length} wrong`);
const [third, fourth] = [mean(series.slice(4, 6)), mean(series.slice(6))];
const grown =
  eighth > 0 && Math.max(fourth.http / third.http, fourth.workers / third.workers) > 1 + MOST_GROWTH;
if (grown) console.log('memory has grown');
if (complaints.length > 0 || !same || restarts !== 0 || grown) process.exitCode = 1;

async function client() {
  while (next < last && !ended) {
    const number = next++;
    if ((number - FIRST) % Math.ceil(CASES / LOOKS) === 0) memory.push(memoryOf(pid));
    const drawn = drawCase(SEED, number, target);
    const answer = await ask(url, drawn).catch((error: Error) => error);
    const wrong = answer instanceof Error ? answer.message : complaint(drawn, answer);
    if (wrong) complaints.push(`${drawn.kind}, case ${number}: ${wrong.slice(0, 500)}`);
    const status = answer instanceof Error ? 'error' : String(answer?.status ?? 'closed');
    answers.set(status, (answers.get(status) ?? 0) + 1);
  }
}

/** The response to a valid request. */
async function good(): Promise<Buffer> {
  const { image, mask } = target.corpus.good;
  const fields = { image: image.toString('base64'), mask: mask.toString('base64'), seed: 7, steps: 3 };
  const response = await fetch(`${url}/v1/inpaint`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'image/png', 'x-api-key': apiKey },
    body: JSON.stringify(fields),
  });
  if (!response.ok) throw new Error(`a valid request got ${response.status}: ${await response.text()}`);
  return Buffer.from(await response.arrayBuffer());
}

async function restarted(): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`, { headers: { 'x-api-key': apiKey } })).text();
  const found = metrics.matchAll(/^ddpm_inpaint_worker_restarts_total\S* (\d+)/gm);
  return [...found].reduce((sum, [, n]) => sum + Number(n), 0);
}

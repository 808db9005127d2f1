/**
 * npm run bench:health: latency of health probes under load. Saturates the built service with sampling requests and
 * large uploads, and requests /health/live meanwhile. Then the same while a scratch across a large picture is filled: it
 * has few pixels, but its canvas has as many as the picture.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { startService } from './service.ts';

const SECONDS = Number(process.env.SECONDS ?? 30);
const CLIENTS = 16;
const PROBE_EVERY_MS = 20;
const SCRATCH = { side: 2000, pixels: 3 };

const { child: service, url } = await startService({ MAX_SYNC_MS: '600000' });

const end = performance.now() + SECONDS * 1000;
const idle = await probe(sleep(3000));
let answered = 0;
let large = 0;
const busy = [...Array.from({ length: CLIENTS }, (_, i) => sampleForever(i)), uploadForever()];
const saturated = await probe(Promise.all(busy));
const scratched = await probe(fillScratch());
service.kill('SIGTERM');

const report = (name: string, times: number[]) => {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))].toFixed(1);
  console.log(
    `/health/live, ${name}: ${times.length} probes, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`,
  );
};
report('idle', idle);
report(`${CLIENTS} clients sampling and one posting 12-megapixel pictures`, saturated);
report(`a scratch of ${SCRATCH.pixels} px across ${SCRATCH.side} x ${SCRATCH.side} px`, scratched);
console.log(`${answered} samples and ${large} large pictures answered meanwhile`);

/** The times of probes until `work` is done, in milliseconds. */
async function probe(work: Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  let done = false;
  const working = work.finally(() => {
    done = true;
  });
  while (!done) {
    const started = performance.now();
    const response = await fetch(`${url}/health/live`);
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`/health/live got ${response.status}`);
    times.push(performance.now() - started);
    await sleep(PROBE_EVERY_MS);
  }
  await working;
  return times;
}

async function sampleForever(client: number) {
  while (performance.now() < end) {
    const body = JSON.stringify({ seed: client, steps: 20 });
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${url}/v1/sample`, { method: 'POST', headers, body });
    await response.arrayBuffer();
    if (response.ok) answered++;
  }
}

async function uploadForever() {
  const [width, height] = [4000, 3000];
  const create = (background: string) => sharp({ create: { width, height, channels: 3, background } });
  const image = await create('#c0a080').jpeg().toBuffer();
  const hole = await sharp({ create: { width: 800, height: 800, channels: 3, background: 'white' } })
    .png()
    .toBuffer();
  const mask = await create('black')
    .composite([{ input: hole }])
    .png()
    .toBuffer();
  while (performance.now() < end) {
    const response = await fetch(`${url}/v1/inpaint`, { method: 'POST', body: formOf(image, mask) });
    await response.arrayBuffer();
    if (response.ok) large++;
  }
}

/** The scratch is diagonal, so that its canvas is the whole picture. */
async function fillScratch() {
  const { side, pixels } = SCRATCH;
  const image = await sharp({ create: { width: side, height: side, channels: 3, background: '#c0a080' } })
    .jpeg()
    .toBuffer();
  const hole = Buffer.alloc(side * side);
  for (let y = 0; y < side; y++) hole.fill(255, y * side + y, y * side + Math.min(side, y + pixels));
  const mask = await sharp(hole, { raw: { width: side, height: side, channels: 1 } })
    .png()
    .toBuffer();
  const response = await fetch(`${url}/v1/inpaint`, { method: 'POST', body: formOf(image, mask) });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`the scratch got ${response.status}`);
}

function formOf(image: Buffer, mask: Buffer): FormData {
  const form = new FormData();
  form.set('steps', '5');
  form.set('format', 'jpeg');
  form.set('image', new Blob([new Uint8Array(image)]), 'image.jpg');
  form.set('mask', new Blob([new Uint8Array(mask)]), 'mask.png');
  return form;
}

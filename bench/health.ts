/**
 * npm run bench:health: latency of health probes under load. Saturates the built service with sampling requests and
 * large uploads, and requests /health/live meanwhile.
 */
import sharp from 'sharp';
import { startService } from './service.ts';

const SECONDS = Number(process.env.SECONDS ?? 30);
const CLIENTS = 16;
const PROBE_EVERY_MS = 20;

const { child: service, url } = await startService();

const end = performance.now() + SECONDS * 1000;
const idle = await probe(3);
let answered = 0;
let large = 0;
const busy = [...Array.from({ length: CLIENTS }, (_, i) => sampleForever(i)), uploadForever()];
const saturated = await probe((end - performance.now()) / 1000);
await Promise.all(busy);
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
console.log(`${answered} samples and ${large} large pictures answered meanwhile`);

async function probe(seconds: number): Promise<number[]> {
  const times: number[] = [];
  for (const until = performance.now() + seconds * 1000; performance.now() < until; ) {
    const started = performance.now();
    const response = await fetch(`${url}/health/live`);
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`/health/live got ${response.status}`);
    times.push(performance.now() - started);
    await new Promise((resolve) => setTimeout(resolve, PROBE_EVERY_MS));
  }
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
    const form = new FormData();
    form.set('steps', '5');
    form.set('format', 'jpeg');
    form.set('image', new Blob([new Uint8Array(image)]), 'image.jpg');
    form.set('mask', new Blob([new Uint8Array(mask)]), 'mask.png');
    const response = await fetch(`${url}/v1/inpaint`, { method: 'POST', body: form });
    await response.arrayBuffer();
    if (response.ok) large++;
  }
}

/**
 * onnxruntime behind plain Fastify, without batching and without worker processes: one session of all cores in the
 * process of the server, and for each request a loop over the steps. Samplers and noise are the service's own.
 */
import os from 'node:os';
import path from 'node:path';
import multipart from '@fastify/multipart';
import Fastify from 'fastify';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import sharp from 'sharp';
import { gaussian } from '../../src/diffusion/noise.ts';
import { createSampler } from '../../src/diffusion/samplers/index.ts';
import { scheduleFrom } from '../../src/diffusion/schedule.ts';
import { readModelCard } from '../../src/model/folder.ts';

const folder = process.env.MODEL_FOLDER ?? '';
const { schedule, prediction, resolution: side } = await readModelCard(folder);
const session = await InferenceSession.create(path.join(folder, 'unet.onnx'), {
  intraOpNumThreads: os.availableParallelism(),
});
const area = side * side;

/** x_0 of the fill, [3, R, R]. known: the same of the picture; mask: 1 in the hole. */
async function denoise(known: Float32Array, mask: Float32Array, steps: number): Promise<Float32Array> {
  const sampler = createSampler('dpmpp_2m', { schedule: scheduleFrom(schedule), prediction, steps });
  const noise = (step: number) => gaussian({ seed: 1, candidate: 0, step }, 3 * area);
  let state: { step: number; x: Float32Array; x0?: Float32Array } = { step: 0, x: noise(0) };
  for (const t of sampler.timesteps) {
    const x = new Float32Array(4 * area);
    for (let i = 0; i < 3 * area; i++) x[i] = mask[i % area] ? state.x[i] : known[i];
    for (let i = 0; i < area; i++) x[3 * area + i] = 2 * mask[i] - 1;
    const { prediction } = await session.run({
      x: new Tensor('float32', x, [1, 4, side, side]),
      t: new Tensor('float32', [t], [1]),
    });
    state = sampler.next(state, prediction.data as Float32Array, () => noise(state.step + 1));
  }
  return state.x;
}

const app = Fastify({ bodyLimit: 2 ** 26 });
app.register(multipart, { attachFieldsToBody: true, limits: { fileSize: 2 ** 26 } });
app.get('/ready', async () => 'ok');

interface Form {
  image: { toBuffer(): Promise<Buffer> };
  mask: { toBuffer(): Promise<Buffer> };
  steps: { value: string };
  format?: { value: 'png' | 'jpeg' };
}

app.post<{ Body: Form }>('/fill', async ({ body }, reply) => {
  const format = body.format?.value ?? 'png';
  const image = sharp(await body.image.toBuffer()).removeAlpha();
  const mask = sharp(await body.mask.toBuffer()).extractChannel(0);
  const { data: pixels, info } = await image.raw().toBuffer({ resolveWithObject: true });
  const hole = await mask.raw().toBuffer();
  const { width, height } = info;
  const box = boxAround(hole, width, height);
  const scale = { width: side, height: side, fit: 'fill' } as const;
  const [part, holed] = await Promise.all([
    sharp(pixels, { raw: info }).extract(box).resize(scale).raw().toBuffer(),
    sharp(hole, { raw: { width, height, channels: 1 } })
      .extract(box)
      .resize({ ...scale, kernel: 'nearest' })
      .extractChannel(0)
      .raw()
      .toBuffer(),
  ]);
  const known = new Float32Array(3 * area);
  for (let p = 0; p < area; p++)
    for (let c = 0; c < 3; c++) known[c * area + p] = part[3 * p + c] / 127.5 - 1;
  const x0 = await denoise(
    known,
    Float32Array.from(holed, (v) => Number(v >= 128)),
    Number(body.steps.value),
  );
  const bytes = new Uint8Array(3 * area);
  for (let p = 0; p < area; p++)
    for (let c = 0; c < 3; c++) bytes[3 * p + c] = Math.round((x0[c * area + p] + 1) * 127.5);
  const fill = await sharp(bytes, { raw: { width: side, height: side, channels: 3 } })
    .resize({ width: box.width, height: box.height, fit: 'fill' })
    .raw()
    .toBuffer();
  for (let y = 0; y < box.height; y++) {
    for (let x = 0; x < box.width; x++) {
      const at = (box.top + y) * width + box.left + x;
      if (hole[at] >= 128) fill.copy(pixels, 3 * at, 3 * (y * box.width + x), 3 * (y * box.width + x) + 3);
    }
  }
  reply.type(`image/${format}`);
  return sharp(pixels, { raw: info }).toFormat(format).toBuffer();
});

/** A square around the hole, three times its size but not below the resolution, cut to lie in the picture. */
function boxAround(hole: Buffer, width: number, height: number) {
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (hole[y * width + x] < 128) continue;
      [left, top] = [Math.min(left, x), Math.min(top, y)];
      [right, bottom] = [Math.max(right, x + 1), Math.max(bottom, y + 1)];
    }
  }
  const wanted = Math.max(side, 3 * Math.max(right - left, bottom - top));
  const [x, w] = span(left, right, wanted, width);
  const [y, h] = span(top, bottom, wanted, height);
  return { left: x, top: y, width: w, height: h };
}

function span(first: number, end: number, wanted: number, limit: number): [start: number, length: number] {
  if (wanted >= limit) return [0, limit];
  return [Math.min(Math.max(0, Math.floor((first + end - wanted) / 2)), limit - wanted), wanted];
}

await app.listen({ port: Number(process.env.PORT) });

/**
 * npm run demo: fills the hole of an example with the service's code, without starting a server, and writes
 * out/demo.png: the picture with its hole, then four candidates.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import sharp from 'sharp';
import { inpaint } from '../src/generation/inpaint.ts';
import { chooseRegion } from '../src/generation/region.ts';
import { decodePicture } from '../src/image/decode.ts';
import { encodePicture } from '../src/image/encode.ts';
import { measureHole } from '../src/image/mask.ts';
import { decodeMask } from '../src/image/mask-reading.ts';
import { FolderRegistry } from '../src/registry/registry.ts';

const limits = { maxPixels: 1e6 };
const SEED = 7;
const CANDIDATES = 4;
const SHOWN = 256;

const registry = await FolderRegistry.open({
  modelDir: 'models',
  engine: { engine: 'onnx', device: 'cpu' },
  queue: { limit: 8 },
});
const model = registry.get();
const picture = await decodePicture(await readFile('examples/face-1.png'), 'image', limits);
const mask = await decodeMask(await readFile('examples/mask-1.png'), 'mask', limits);
const { sampler, steps, eta } = model.card.defaults;

console.log(`${model.ref}: loading`);
await model.open();
const input = { picture, mask, hole: measureHole(mask) };
const parameters = {
  seed: SEED,
  numImages: CANDIDATES,
  sampler,
  steps,
  eta,
  maskBlur: 0,
};
const { pictures, timings } = await inpaint(
  model,
  input,
  await chooseRegion(model, input, { strategy: 'auto', steps }, Number.POSITIVE_INFINITY),
  parameters,
  { onProgress: ({ step, total }) => process.stdout.write(`\r${step}/${total} evaluations`) },
);
await registry.close();

const holed = {
  ...picture,
  data: picture.data.map((b, i) => (mask.data[Math.floor(i / picture.channels)] ? 128 : b)),
};
const cells = await Promise.all(
  [holed, ...pictures].map(async (cell) =>
    sharp(await encodePicture(cell, { format: 'png' }))
      .resize(SHOWN, SHOWN, { kernel: 'cubic' })
      .toBuffer(),
  ),
);
await mkdir('out', { recursive: true });
await writeFile(
  'out/demo.png',
  await sharp({ create: { width: SHOWN * cells.length, height: SHOWN, channels: 3, background: 'white' } })
    .composite(cells.map((input, i) => ({ input, left: i * SHOWN, top: 0 })))
    .png()
    .toBuffer(),
);
console.log(`\n${CANDIDATES} candidates in ${(timings.denoiseMs / 1000).toFixed(1)} s: out/demo.png`);

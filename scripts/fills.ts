/**
 * npm run fills -- SEED SEED SEED: draws three faces, one for each seed, fills a hole in each with celeba-inpaint-128, and
 * writes the README's picture to docs/fills.png. None shows a real person.
 */
import { writeFile } from 'node:fs/promises';
import sharp from 'sharp';
import { inpaint } from '../src/generation/inpaint.ts';
import { chooseRegion } from '../src/generation/region.ts';
import { encodePicture } from '../src/image/encode.ts';
import { measureHole } from '../src/image/mask.ts';
import { type Mask, type Picture, square } from '../src/image/picture.ts';
import { FolderRegistry } from '../src/registry/registry.ts';
import type { ServedModel } from '../src/registry/served-model.ts';

const seeds = process.argv.slice(2).map(Number);
if (seeds.length !== 3 || seeds.some(Number.isNaN)) throw new Error('usage: npm run fills -- SEED SEED SEED');
const CANDIDATES = 4;
const FILL_SEED = 7;
const SHOWN = 192;
const SIDE = 128;

/** Holes in a 64 x 64 picture: over the eyes, strokes across the face, the right half. */
const HOLES = [
  '<rect x="12" y="20" width="40" height="14" rx="4"/>',
  '<path d="M8 50 Q24 34 40 46 T58 30 M20 8 Q30 20 22 34" fill="none" stroke="white" stroke-width="7" stroke-linecap="round"/>',
  '<rect x="32" y="0" width="32" height="64"/>',
];

const registry = await FolderRegistry.open({
  modelDir: 'models',
  engine: { engine: 'onnx', device: 'cpu' },
  queue: { limit: 64 },
});
/** It draws better whole faces than the larger one. */
const artist = registry.get('celeba-inpaint-64');
const filler = registry.get('celeba-inpaint-128');

const rows: Picture[][] = [];
for (const [i, seed] of seeds.entries()) {
  const face = await drawFace(seed);
  const hole = await draw(HOLES[i]);
  rows.push([holed(face, hole), ...(await fill(filler, face, hole, FILL_SEED, CANDIDATES))]);
}
await registry.close();
await writeFile('docs/fills.png', await sheet(rows));

/** A face that a model draws: a picture that is all hole. */
async function drawFace(seed: number): Promise<Picture> {
  const nothing: Picture = { ...square(SIDE), channels: 3, data: new Uint8Array(3 * SIDE * SIDE) };
  const everything: Mask = { ...square(SIDE), data: new Uint8Array(SIDE * SIDE).fill(255) };
  const [face] = await fill(artist, nothing, everything, seed, 1, 24);
  return face;
}

async function fill(
  model: ServedModel,
  picture: Picture,
  mask: Mask,
  seed: number,
  numImages: number,
  steps = model.card.defaults.steps,
) {
  const input = { picture, mask, hole: measureHole(mask) };
  const { sampler, eta } = model.card.defaults;
  const parameters = { seed, numImages, sampler, steps, eta, maskBlur: 0 };
  const region = await chooseRegion(model, input, { strategy: 'auto', steps }, Number.POSITIVE_INFINITY);
  return (await inpaint(model, input, region, parameters)).pictures;
}

async function draw(shapes: string): Promise<Mask> {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="${SIDE}" height="${SIDE}" fill="white"><rect width="64" height="64" fill="black"/>${shapes}</svg>`;
  const { data } = await sharp(Buffer.from(svg)).greyscale().raw().toBuffer({ resolveWithObject: true });
  return { ...square(SIDE), data: new Uint8Array(data).map((value) => (value >= 128 ? 255 : 0)) };
}

function holed(face: Picture, mask: Mask): Picture {
  return {
    ...face,
    data: face.data.map((byte, i) => (mask.data[Math.floor(i / face.channels)] ? 128 : byte)),
  };
}

async function sheet(rows: Picture[][]): Promise<Buffer> {
  const cells = rows.flatMap((row, y) =>
    row.map((picture, x) => ({ picture, left: x * SHOWN, top: y * SHOWN })),
  );
  const create = {
    width: SHOWN * (CANDIDATES + 1),
    height: SHOWN * rows.length,
    channels: 3,
    background: 'white',
  } as const;
  const layers = cells.map(async ({ picture, left, top }) => ({
    input: await sharp(await encodePicture(picture, { format: 'png' }))
      .resize(SHOWN, SHOWN, { kernel: 'cubic' })
      .toBuffer(),
    left,
    top,
  }));
  return sharp({ create })
    .composite(await Promise.all(layers))
    .png()
    .toBuffer();
}

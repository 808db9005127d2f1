/**
 * npm run examples -- SEED SEED SEED: draws three faces with the default model, one for each seed, and writes them with
 * their masks to examples/, and the README's picture to docs/fills.png. None shows a real person.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import sharp from 'sharp';
import { inpaint } from '../src/generation/inpaint.ts';
import { chooseRegion } from '../src/generation/region.ts';
import { encodeMask, encodePicture } from '../src/image/encode.ts';
import { measureHole } from '../src/image/mask.ts';
import { type Mask, type Picture, square } from '../src/image/picture.ts';
import { FolderRegistry } from '../src/registry/registry.ts';

const seeds = process.argv.slice(2).map(Number);
if (seeds.length !== 3 || seeds.some(Number.isNaN))
  throw new Error('usage: npm run examples -- SEED SEED SEED');
const CANDIDATES = 4;
const FILL_SEED = 7;
const SHOWN = 192;
/** The README's faces have this many times the model's resolution. */
const LARGER = 2;

/** Holes in a 64 x 64 picture: over the eyes, strokes across the face, the right half. */
const HOLES = [
  '<rect x="12" y="20" width="40" height="14" rx="4"/>',
  '<path d="M8 50 Q24 34 40 46 T58 30 M20 8 Q30 20 22 34" fill="none" stroke="white" stroke-width="7" stroke-linecap="round"/>',
  '<rect x="32" y="0" width="32" height="64"/>',
];

const registry = await FolderRegistry.open({
  modelDir: 'models',
  engine: { engine: 'onnx', device: 'cpu', queueLimit: 64 },
});
const model = registry.get();
const { resolution, defaults } = model.card;

await mkdir('examples', { recursive: true });
await mkdir('docs', { recursive: true });
const rows: Picture[][] = [];
for (const [i, seed] of seeds.entries()) {
  const face = await drawFace(seed, resolution);
  const mask = await draw(HOLES[i], resolution);
  await writeFile(`examples/face-${i + 1}.png`, await encodePicture(face, { format: 'png' }));
  await writeFile(`examples/mask-${i + 1}.png`, await encodeMask(mask));
  const larger = await drawFace(seed, LARGER * resolution);
  const hole = await draw(HOLES[i], LARGER * resolution);
  rows.push([holed(larger, hole), ...(await fill(larger, hole, FILL_SEED, CANDIDATES))]);
}
await registry.close();
await writeFile('docs/fills.png', await sheet(rows));

/** A face that the model draws: a picture that is all hole. */
async function drawFace(seed: number, side: number): Promise<Picture> {
  const nothing: Picture = { ...square(side), channels: 3, data: new Uint8Array(3 * side * side) };
  const everything: Mask = { ...square(side), data: new Uint8Array(side * side).fill(255) };
  const [face] = await fill(nothing, everything, seed, 1, 24);
  return face;
}

async function fill(picture: Picture, mask: Mask, seed: number, numImages: number, steps = defaults.steps) {
  const input = { picture, mask, hole: measureHole(mask) };
  const { sampler, eta } = defaults;
  const parameters = { seed, numImages, sampler, steps, eta, strategy: 'auto', maskBlur: 0 } as const;
  const region = await chooseRegion(model, input, parameters, Number.POSITIVE_INFINITY);
  return (await inpaint(model, input, region, parameters)).pictures;
}

async function draw(shapes: string, side: number): Promise<Mask> {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="${side}" height="${side}" fill="white"><rect width="64" height="64" fill="black"/>${shapes}</svg>`;
  const { data } = await sharp(Buffer.from(svg)).greyscale().raw().toBuffer({ resolveWithObject: true });
  return { ...square(side), data: new Uint8Array(data).map((value) => (value >= 128 ? 255 : 0)) };
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

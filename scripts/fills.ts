/**
 * npm run fills -- URL: fills holes with the running service at URL, http://localhost:8000 unless given, and writes the first two
 * pictures of the README: docs/restored.jpg, a photograph without its scratches, and docs/fills.png, faces that a model draws
 * (none shows a real person), each with a hole and four candidates.
 */
import { readFile, writeFile } from 'node:fs/promises';
import sharp from 'sharp';

const url = process.argv[2] ?? 'http://localhost:8000';
const EXAMPLES = 'src/playground/examples';
const MODEL = 'celeba-inpaint-64';
const SEED = 7;
const CANDIDATES = 4;
/** Pixels of a side of the faces, and of those in docs/fills.png. */
const SIDE = 128;
const SHOWN = 192;

/** Each row of docs/fills.png: the seed that draws the face, and the hole in a square of 64 x 64. */
const ROWS = [
  { face: 116, hole: '<rect x="12" y="20" width="40" height="14" rx="4"/>' },
  { face: 130, hole: '<rect x="19" y="36" width="27" height="20" rx="4"/>' },
  { face: 120, hole: '<rect x="32" y="0" width="32" height="64"/>' },
];

await restored();
await faces();

async function restored(): Promise<void> {
  const photograph = await readFile(`${EXAMPLES}/portrait.jpg`);
  const [filled] = await fill(photograph, await readFile(`${EXAMPLES}/portrait-mask.png`), { seed: SEED });
  const { width, height } = await sharp(photograph).metadata();
  await writeFile(
    'docs/restored.jpg',
    await sharp(await sheet([[photograph, filled]], width, height))
      .jpeg({ quality: 88, mozjpeg: true })
      .toBuffer(),
  );
}

async function faces(): Promise<void> {
  const everything = await shapes('<rect width="64" height="64"/>');
  const rows: Buffer[][] = [];
  for (const { face, hole } of ROWS) {
    const [drawn] = await fill(everything, everything, { seed: face, steps: 24 });
    const mask = await shapes(hole);
    rows.push([
      await holed(drawn, mask),
      ...(await fill(drawn, mask, { seed: SEED, num_images: CANDIDATES })),
    ]);
  }
  await writeFile('docs/fills.png', await sheet(rows, SHOWN, SHOWN));
}

/** The candidates as PNG files. */
async function fill(image: Buffer, mask: Buffer, parameters: Record<string, number>): Promise<Buffer[]> {
  const form = new FormData();
  form.set('image', new Blob([new Uint8Array(image)]));
  form.set('mask', new Blob([new Uint8Array(mask)]));
  form.set('model', MODEL);
  for (const [name, value] of Object.entries(parameters)) form.set(name, `${value}`);
  const response = await fetch(`${url}/v1/inpaint`, {
    method: 'POST',
    body: form,
    headers: { accept: 'application/json' },
  });
  if (!response.ok) throw new Error(await response.text());
  const { images } = (await response.json()) as { images: { data: string }[] };
  return images.map(({ data }) => Buffer.from(data, 'base64'));
}

/** White shapes on black as PNG. */
function shapes(svg: string): Promise<Buffer> {
  const document = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="${SIDE}" height="${SIDE}" fill="white"><rect width="64" height="64" fill="black"/>${svg}</svg>`;
  return sharp(Buffer.from(document)).removeAlpha().threshold(128).png().toBuffer();
}

/** The picture, grey where the mask is white. */
async function holed(picture: Buffer, mask: Buffer): Promise<Buffer> {
  const hole = await sharp(mask).extractChannel(0).toBuffer();
  const grey = sharp({ create: { width: SIDE, height: SIDE, channels: 3, background: 'grey' } }).joinChannel(
    hole,
  );
  return sharp(picture)
    .composite([{ input: await grey.png().toBuffer() }])
    .png()
    .toBuffer();
}

/** Rows of pictures, each enlarged to this size. */
async function sheet(rows: Buffer[][], width: number, height: number): Promise<Buffer> {
  const cells = rows.flatMap((row, y) =>
    row.map(async (picture, x) => ({
      input: await sharp(picture).resize(width, height, { kernel: 'cubic' }).toBuffer(),
      left: x * width,
      top: y * height,
    })),
  );
  return sharp({
    create: { width: width * rows[0].length, height: height * rows.length, channels: 3, background: 'white' },
  })
    .composite(await Promise.all(cells))
    .png()
    .toBuffer();
}

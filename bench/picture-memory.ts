/**
 * npm run bench:picture-memory: the peak memory of each image function, in bytes per pixel, beside what it was given and
 * including its result. src/image/needs.ts has these figures, rounded up. Linux only, because it reads /proc.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { collectGarbage } from '../src/image/garbage.ts';
import { tasks } from '../src/image/tasks.ts';

const SIDE = 3536;
const PIXELS = SIDE * SIDE;
const LIMITS = { maxPixels: PIXELS };

function memory(field: 'VmRSS' | 'VmHWM'): number {
  const kilobytes = new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return Number(kilobytes) * 1024;
}

async function settle() {
  for (let i = 0; i < 3; i++) {
    collectGarbage();
    await sleep(20); // lets Node free the buffers that sharp has made
  }
}

async function measure<T>(name: string, work: () => Promise<T>): Promise<T> {
  await settle();
  writeFileSync('/proc/self/clear_refs', '5'); // resets the high-water mark
  const before = memory('VmRSS');
  const result = await work();
  console.log(`${name.padEnd(32)} ${((memory('VmHWM') - before) / PIXELS).toFixed(1)}`);
  return result;
}

const noise = (channels: 3 | 4) =>
  sharp(randomBytes(PIXELS * channels), { raw: { width: SIDE, height: SIDE, channels } });
/** For codecs that would be slow on noise. */
const smooth = (channels: 3 | 4) =>
  sharp(randomBytes(64 * 64 * channels), { raw: { width: 64, height: 64, channels } }).resize(SIDE, SIDE);

const files: [string, () => Promise<Buffer>][] = [
  ['PNG, RGBA', () => noise(4).png().toBuffer()],
  ['PNG, RGBA, interlaced', () => noise(4).png({ progressive: true }).toBuffer()],
  [
    'PNG, RGBA, 16 bits, interlaced',
    () => noise(4).toColourspace('rgb16').png({ progressive: true }).toBuffer(),
  ],
  ['PNG, RGBA, 16 bits', () => noise(4).toColourspace('rgb16').png().toBuffer()],
  ['TIFF, RGBA, 16 bits', () => noise(4).toColourspace('rgb16').tiff({ compression: 'deflate' }).toBuffer()],
  ['JPEG', () => noise(3).jpeg().toBuffer()],
  ['JPEG, rotated', () => noise(3).withMetadata({ orientation: 6 }).jpeg().toBuffer()],
  ['JPEG, progressive', () => noise(3).jpeg({ progressive: true, chromaSubsampling: '4:4:4' }).toBuffer()],
  ['WebP', () => smooth(4).webp({ effort: 0 }).toBuffer()],
  ['WebP, lossless', () => smooth(4).webp({ lossless: true, effort: 0 }).toBuffer()],
  ['AVIF', () => smooth(4).avif({ effort: 0 }).toBuffer()],
  ['AVIF, 12 bits', () => smooth(4).avif({ effort: 0, chromaSubsampling: '4:4:4', bitdepth: 12 }).toBuffer()],
  ['TIFF', () => noise(4).tiff({ compression: 'deflate' }).toBuffer()],
  ['GIF', () => smooth(4).gif({ effort: 1 }).toBuffer()],
];
for (const [name, make] of files) {
  const file = await make();
  await measure(`decode ${name}`, () => tasks.decodePicture(file, 'image', LIMITS));
}

const picture = {
  width: SIDE,
  height: SIDE,
  channels: 4 as const,
  data: new Uint8Array(randomBytes(PIXELS * 4)),
};
const hole = { width: SIDE, height: SIDE, data: new Uint8Array(PIXELS) };
for (let y = 10; y < SIDE - 10; y++) hole.data.fill(255, y * SIDE + 10, (y + 1) * SIDE - 10);
const box = { left: 0, top: 0, width: SIDE, height: SIDE };
const fill = {
  width: 64,
  height: 64,
  x0: Float32Array.from(randomBytes(64 * 64 * 3), (b) => b / 127.5 - 1),
  box,
};
const maskFile = Buffer.from(await tasks.encodeMask(hole));
await measure('decodeMask', () => tasks.decodeMask(maskFile, 'mask', LIMITS));
await measure('maskFromAlpha', () => tasks.maskFromAlpha(picture));
await measure('knownRegion', () => tasks.knownRegion(picture, hole, box, 64));
/** Every second pixel belongs to the hole, every other one to its soft edge. */
const soft = { ...hole, data: hole.data.map((_, p) => ((p + Math.floor(p / SIDE)) % 2 ? 128 : 127)) };
const softFile = Buffer.from(await tasks.encodeMask(soft));
await measure('decodeMask, soft', () => tasks.decodeMask(softFile, 'mask', LIMITS));
await measure('growMask', () => tasks.growMask(hole, 5));
await measure('growMask, shrink', () => tasks.growMask(hole, -5));
const options = { base: { window: 64, steps: 1 }, maxEvaluations: Number.POSITIVE_INFINITY };
await measure('planRegions', () => tasks.planRegions(hole, box, options));
const finest = { canvas: box, level: 0 };
await measure('levelPixels', () => tasks.levelPixels(picture, hole, finest));
const deep = { ...picture, data16: Uint16Array.from(picture.data, (byte) => byte * 257) };
await measure('composite', () => tasks.composite(picture, hole, [fill], { maskBlur: 0 }));
await measure('composite, blurred', () => tasks.composite(picture, hole, [fill], { maskBlur: 20 }));
await measure('composite, blurred, 16 bits', () => tasks.composite(deep, hole, [fill], { maskBlur: 20 }));
await measure('uncertainty', () => tasks.uncertainty([picture, picture], hole));
for (const format of ['png', 'jpeg', 'webp'] as const) {
  for (const quality of [90, 100]) {
    await measure(`encode ${format}, quality ${quality}`, () =>
      tasks.encodePicture(picture, { format, quality }),
    );
  }
}
await measure('encodeMask', () => tasks.encodeMask(hole));
const rgbFile = await sharp({ create: { width: 1, height: 1, channels: 3, background: 'red' } })
  .withIccProfile('p3')
  .png()
  .toBuffer();
const { icc } = await sharp(rgbFile).metadata();
for (const format of ['png', 'jpeg', 'webp'] as const) {
  await measure(`encode ${format}, profile`, () => tasks.encodePicture({ ...picture, icc }, { format }));
  await measure(`encode ${format}, profile, 16 bits`, () =>
    tasks.encodePicture({ ...deep, icc }, { format }),
  );
}
await measure('encode png, 16 bits', () => tasks.encodePicture(deep, { format: 'png' }));

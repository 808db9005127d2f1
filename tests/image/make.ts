import { crc32, deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { type CompositeOptions, composite } from '../../src/image/composite.ts';
import type { Box, Mask, Picture } from '../../src/image/picture.ts';
import sharp from '../../src/image/sharp.ts';

export const LIMITS = { maxPixels: 25_000_000 };

/** A picture of random bytes, reproducible by its seed. */
export function bytes(length: number, seed: number): Uint8Array {
  let state = seed >>> 0;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

export function noise(width: number, height: number, channels: 3 | 4, seed = 1): Picture {
  return { width, height, channels, data: bytes(width * height * channels, seed) };
}

export function plain(width: number, height: number, colour: number[]): Picture {
  const data = new Uint8Array(width * height * colour.length);
  for (let i = 0; i < data.length; i++) data[i] = colour[i % colour.length];
  return { width, height, channels: colour.length === 4 ? 4 : 3, data };
}

export function maskOf(width: number, height: number, isHole: (x: number, y: number) => boolean): Mask {
  const data = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) if (isHole(x, y)) data[y * width + x] = 255;
  }
  return { width, height, data };
}

/** A copy of the picture with other content (colours and alpha) in the hole. */
export function withOtherHole(picture: Picture, mask: Mask, seed: number): Picture {
  const data = new Uint8Array(picture.data);
  const other = bytes(data.length, seed);
  for (let i = 0; i < data.length; i++) {
    if (mask.data[Math.floor(i / picture.channels)] !== 0) data[i] = other[i];
  }
  return { ...picture, data };
}

export const raw = ({ width, height, channels, data }: Picture) =>
  sharp(data, { raw: { width, height, channels } });

/** An RGB profile other than sRGB: Display P3, which is included in sharp. */
export async function p3Profile(): Promise<Buffer> {
  const { icc } = await sharp(
    await raw(plain(1, 1, [0, 0, 0]))
      .withIccProfile('p3')
      .png()
      .toBuffer(),
  ).metadata();
  if (icc === undefined) throw new Error('sharp embedded no profile');
  return icc;
}

/** A minimal grey profile (ICC.1:2001-04) with linear values: 128 corresponds to 188 in sRGB. */
export function linearGreyProfile(): Buffer {
  const tag = (type: string, body: number[]) =>
    Buffer.concat([Buffer.from(`${type}\0\0\0\0`), Buffer.from(body)]);
  const text = (value: string) => [...Buffer.from(`${value}\0`)];
  const description = tag('desc', [0, 0, 0, 5, ...text('grey'), ...new Array<number>(78).fill(0)]);
  const tags: [string, Buffer][] = [
    ['desc', Buffer.concat([description, Buffer.alloc((4 - (description.length % 4)) % 4)])],
    ['cprt', tag('text', [...text('none'), 0, 0, 0])],
    ['wtpt', tag('XYZ ', [0, 0, 0xf6, 0xd6, 0, 1, 0, 0, 0, 0, 0xd3, 0x2d])],
    ['kTRC', tag('curv', [0, 0, 0, 0])],
  ];
  const table = Buffer.alloc(4 + tags.length * 12);
  table.writeUInt32BE(tags.length);
  let at = 128 + table.length;
  tags.forEach(([name, data], i) => {
    table.write(name, 4 + i * 12, 'latin1');
    table.writeUInt32BE(at, 8 + i * 12);
    table.writeUInt32BE(data.length, 12 + i * 12);
    at += data.length;
  });
  const header = Buffer.alloc(128);
  header.writeUInt32BE(at);
  header.writeUInt32BE(0x02400000, 8);
  header.write('mntrGRAYXYZ ', 12, 'latin1');
  header.write('acsp', 36, 'latin1');
  for (const [i, value] of [0xf6d6, 0x10000, 0xd32d].entries()) header.writeUInt32BE(value, 68 + i * 4);
  return Buffer.concat([header, table, ...tags.map(([, data]) => data)]);
}

export function pngChunk(type: string, data: Buffer): Buffer {
  const chunk = Buffer.alloc(12 + data.length);
  chunk.writeUInt32BE(data.length);
  chunk.write(type, 4, 'latin1');
  data.copy(chunk, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}

/** Inserts a profile into a PNG, after its header. With sharp, the pixels would be converted. */
export function withPngProfile(png: Buffer, icc: Buffer): Buffer {
  const chunk = pngChunk('iCCP', Buffer.concat([Buffer.from('p\0\0', 'latin1'), deflateSync(icc)]));
  return Buffer.concat([png.subarray(0, 33), chunk, png.subarray(33)]);
}

/** Inserts a profile into a JPEG, as an APP2 segment. */
export function withJpegProfile(jpeg: Buffer, icc: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from('ICC_PROFILE\0\x01\x01', 'latin1'), icc]);
  const head = Buffer.from([0xff, 0xe2, 0, 0]);
  head.writeUInt16BE(body.length + 2, 2);
  return Buffer.concat([jpeg.subarray(0, 2), head, body, jpeg.subarray(2)]);
}

/** An uncompressed RGB TIFF whose numbers are big-endian; sharp writes the other order only. */
export function bigEndianTiff({ width, height, data }: Picture): Buffer {
  const [SHORT, LONG] = [3, 4];
  const bitsAt = 8 + 2 + 9 * 12 + 4;
  const entries: [tag: number, type: number, count: number, value: number][] = [
    [256, LONG, 1, width],
    [257, LONG, 1, height],
    [258, SHORT, 3, bitsAt], // bits per sample
    [259, SHORT, 1, 1], // no compression
    [262, SHORT, 1, 2], // RGB
    [273, LONG, 1, bitsAt + 6], // where the pixels are
    [277, SHORT, 1, 3], // samples per pixel
    [278, LONG, 1, height], // one strip
    [279, LONG, 1, data.length],
  ];
  const head = Buffer.alloc(bitsAt + 6);
  head.write('MM\0*', 'latin1');
  head.writeUInt32BE(8, 4);
  head.writeUInt16BE(entries.length, 8);
  for (const [i, [tag, type, count, value]] of entries.entries()) {
    const at = 10 + i * 12;
    head.writeUInt16BE(tag, at);
    head.writeUInt16BE(type, at + 2);
    head.writeUInt32BE(count, at + 4);
    if (type === SHORT && count === 1) head.writeUInt16BE(value, at + 8);
    else head.writeUInt32BE(value, at + 8);
  }
  for (let c = 0; c < 3; c++) head.writeUInt16BE(8, bitsAt + 2 * c);
  return Buffer.concat([head, data]);
}

/** Any picture of up to 300 x 300, a mask of its size with or without holes, a box around or beside it all. */
export const scene = fc
  .record({
    width: fc.integer({ min: 1, max: 300 }),
    height: fc.integer({ min: 1, max: 300 }),
    channels: fc.constantFrom<3 | 4>(3, 4),
    seed: fc.nat(),
    holes: fc.array(fc.tuple(fc.nat(299), fc.nat(299), fc.nat(120), fc.nat(120)), { maxLength: 3 }),
    speckle: fc.boolean(),
    box: fc.record({
      left: fc.integer({ min: -60, max: 250 }),
      top: fc.integer({ min: -60, max: 250 }),
      width: fc.integer({ min: 1, max: 340 }),
      height: fc.integer({ min: 1, max: 340 }),
    }),
  })
  .map(({ width, height, channels, seed, holes, speckle, box }) => {
    const speckles = bytes(width * height, seed + 1);
    const mask = maskOf(
      width,
      height,
      (x, y) =>
        (speckle && speckles[y * width + x] < 8) ||
        holes.some(([left, top, w, h]) => x >= left && x <= left + w && y >= top && y <= top + h),
    );
    return { picture: noise(width, height, channels, seed), mask, box: box satisfies Box };
  });

/** The picture with one patch over its hole. */
export function composited(
  picture: Picture,
  mask: Mask,
  filled: Picture,
  box: Box,
  options: CompositeOptions,
): Promise<Picture> {
  return composite(picture, mask, [{ filled, box }], options);
}

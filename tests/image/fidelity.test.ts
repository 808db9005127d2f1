import type { Sharp } from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodePicture } from '../../src/image/decode.ts';
import { encodePicture } from '../../src/image/encode.ts';
import { cleanExif } from '../../src/image/exif.ts';
import { decodeMask } from '../../src/image/mask-reading.ts';
import type { OutputFormat } from '../../src/image/picture.ts';
import { headChunks } from '../../src/image/png.ts';
import sharp from '../../src/image/sharp.ts';
import {
  bytes,
  composited,
  LIMITS,
  linearGreyProfile,
  maskOf,
  noise,
  p3Profile,
  plain,
  pngChunk,
  raw,
  withJpegProfile,
  withPngProfile,
} from './make.ts';

const decode = (file: Buffer) => decodePicture(file, 'image', LIMITS);
const FORMATS = ['png', 'jpeg', 'webp'] as const;

/** Fills the middle of a picture with one colour, as a request does, and encodes it. */
async function filled(file: Buffer, format: OutputFormat, exif = false): Promise<Buffer> {
  const picture = await decode(file);
  const { width, height } = picture;
  const fill = plain(8, 8, [200, 100, 50]);
  const result = await composited(
    picture,
    hole(width, height),
    fill,
    { left: 0, top: 0, width, height },
    {
      maskBlur: 0,
    },
  );
  return encodePicture(result, { format, quality: 100, exif, metadata: { seed: 1 } });
}

const inHole = (x: number, y: number, width: number, height: number) =>
  Math.abs(x - width / 2) < width / 4 && Math.abs(y - height / 2) < height / 4;
const hole = (width: number, height: number) => maskOf(width, height, (x, y) => inHole(x, y, width, height));

/** Inserts chunks into a PNG, after its header. */
const withPngChunks = (png: Buffer, ...chunks: Buffer[]) =>
  Buffer.concat([png.subarray(0, 33), ...chunks, png.subarray(33)]);
/** A PNG without the density that sharp writes. */
const barePng = async (pipeline: Sharp) => {
  const png = await pipeline.png().toBuffer();
  const at = png.indexOf('pHYs') - 4;
  return Buffer.concat([png.subarray(0, at), png.subarray(at + 21)]);
};

describe('density', () => {
  const phys = (x: number, y: number, unit: number) => {
    const data = Buffer.alloc(9);
    data.writeUInt32BE(x);
    data.writeUInt32BE(y, 4);
    data[8] = unit;
    return data;
  };
  const jfif = (unit: number, x: number, y: number) => {
    const head = Buffer.from([0xff, 0xe0, 0, 16, ...Buffer.from('JFIF\0'), 1, 2, unit, 0, 0, 0, 0, 0, 0]);
    head.writeUInt16BE(x, 12);
    head.writeUInt16BE(y, 14);
    return head;
  };
  const withJfif = async (...values: [number, number, number]) => {
    const jpeg = await raw(noise(32, 24, 3))
      .jpeg()
      .toBuffer();
    return Buffer.concat([jpeg.subarray(0, 2), jfif(...values), jpeg.subarray(2)]);
  };
  const physOf = (png: Buffer) => headChunks(png, ['pHYs']).map(({ data }) => Buffer.from(data));
  const jfifOf = (jpeg: Buffer) => {
    const at = jpeg.indexOf('JFIF\0');
    return at < 0 ? undefined : [jpeg[at + 7], jpeg.readUInt16BE(at + 8), jpeg.readUInt16BE(at + 10)];
  };

  test('none is invented', async () => {
    const png = await barePng(raw(noise(32, 24, 3)));
    expect(physOf(png)).toEqual([]);
    const jpeg = await raw(noise(32, 24, 3))
      .jpeg()
      .toBuffer();
    const tiff = await raw(noise(32, 24, 3))
      .tiff()
      .toBuffer();
    for (const file of [png, jpeg, await withJfif(0, 1, 1), tiff]) {
      expect(physOf(await filled(file, 'png'))).toEqual([]);
      expect(jfifOf(await filled(file, 'jpeg'))).toBeUndefined();
      const { density, resolutionUnit } = await sharp(await filled(file, 'webp')).metadata();
      expect([density ?? 72, resolutionUnit]).toEqual([72, undefined]); // 72: what sharp says of every such file
    }
  });

  test.each([
    [2835, 2835, 1],
    [11_811, 5_906, 1],
    [1, 1, 1],
    [4, 3, 0],
  ])('of a PNG, %i x %i, unit %i, is kept to the pixel', async (x, y, unit) => {
    const png = withPngChunks(await barePng(raw(noise(32, 24, 3))), pngChunk('pHYs', phys(x, y, unit)));
    expect(physOf(await filled(png, 'png'))).toEqual([phys(x, y, unit)]);
  });

  test('of a PNG becomes dots per inch in a JPEG', async () => {
    const png = withPngChunks(await barePng(raw(noise(32, 24, 3))), pngChunk('pHYs', phys(11_811, 5_906, 1)));
    expect(jfifOf(await filled(png, 'jpeg'))).toEqual([1, 300, 150]);
  });

  test('of a JPEG is kept, and becomes pixels per metre in a PNG', async () => {
    expect(jfifOf(await filled(await withJfif(1, 300, 150), 'jpeg'))).toEqual([1, 300, 150]);
    expect(jfifOf(await filled(await withJfif(2, 118, 118), 'jpeg'))).toEqual([2, 118, 118]);
    expect(jfifOf(await filled(await withJfif(0, 4, 3), 'jpeg'))).toEqual([0, 4, 3]);
    expect(physOf(await filled(await withJfif(1, 300, 150), 'png'))).toEqual([phys(11_811, 5_906, 1)]);
  });

  test.each([
    [200_000_000, 1],
    [1, 0],
    [0, 1],
  ])('of EXIF that no PNG can state (%i / %i dots per inch) is left out', async (dots, per) => {
    const jpeg = await raw(noise(32, 24, 3))
      .withDensity(300)
      .jpeg()
      .toBuffer();
    const tiff = jpeg.subarray(jpeg.indexOf('II*\0'));
    for (let entry = 10; entry < 10 + 12 * tiff.readUInt16LE(8); entry += 12) {
      if (![0x11a, 0x11b].includes(tiff.readUInt16LE(entry))) continue; // XResolution, YResolution
      tiff.writeUInt32LE(dots, tiff.readUInt32LE(entry + 8));
      tiff.writeUInt32LE(per, tiff.readUInt32LE(entry + 8) + 4);
    }
    expect(physOf(await filled(jpeg, 'png'))).toEqual([]);
    expect(jfifOf(await filled(jpeg, 'jpeg'))).toBeUndefined();
  });

  test.each([
    1, 3, 4, 5, 6, 7, 8,
  ])('is that of the axes of the picture as shown, orientation %i', async (orientation) => {
    const picture = raw(noise(32, 24, 3)).withMetadata({ orientation });
    const png = withPngChunks(await barePng(picture.clone()), pngChunk('pHYs', phys(11_811, 5_906, 1)));
    const bare = await picture.jpeg().toBuffer();
    const jpeg = Buffer.concat([bare.subarray(0, 2), jfif(1, 300, 150), bare.subarray(2)]);
    const turned = orientation > 4;
    for (const file of [png, jpeg]) {
      const shown = turned ? phys(5_906, 11_811, 1) : phys(11_811, 5_906, 1);
      expect(physOf(await filled(file, 'png'))).toEqual([shown]);
      expect(jfifOf(await filled(file, 'jpeg'))).toEqual(turned ? [1, 150, 300] : [1, 300, 150]);
    }
  });

  test('of EXIF and of TIFF is kept', async () => {
    const picture = raw(noise(32, 24, 3)).withDensity(300);
    for (const file of [await picture.clone().jpeg().toBuffer(), await picture.clone().tiff().toBuffer()]) {
      expect(physOf(await filled(file, 'png'))).toEqual([phys(11_811, 11_811, 1)]);
    }
  });
});

describe('colour chunks of a PNG', () => {
  const CHUNKS: [string, Buffer][] = [
    ['gAMA', Buffer.from([0, 1, 0x86, 0xa0])],
    ['cHRM', Buffer.from(Array.from({ length: 32 }, (_, i) => (i % 4 === 2 ? 0x7a : i)))],
    ['sRGB', Buffer.from([0])],
    ['cICP', Buffer.from([12, 13, 0, 1])],
  ];
  const colourOf = (png: Buffer) =>
    headChunks(png, [...CHUNKS.map(([type]) => type), 'iCCP']).map(({ type, data }) => [
      type,
      Buffer.from(data),
    ]);

  test.each(CHUNKS)('%s is kept in a PNG, and the pixels are not converted', async (type, data) => {
    const picture = noise(32, 24, 3);
    const file = withPngChunks(await barePng(raw(picture)), pngChunk(type, data));
    const result = await filled(file, 'png');
    expect(colourOf(result)).toEqual([[type, data]]);
    expect([...(await decode(result)).data.subarray(0, 32 * 3)]).toEqual([
      ...picture.data.subarray(0, 32 * 3),
    ]);
  });

  test('damaged and repeated ones are not', async () => {
    const [gamma] = CHUNKS;
    const damaged = pngChunk(...CHUNKS[1]);
    damaged[damaged.length - 1] ^= 1;
    const file = withPngChunks(
      await barePng(raw(noise(32, 24, 3))),
      pngChunk('sRGB', Buffer.from([0, 0])),
      pngChunk(...gamma),
      pngChunk('gAMA', Buffer.from([0, 0, 0xb1, 0x8f])),
      damaged,
    );
    expect(colourOf(await filled(file, 'png'))).toEqual([gamma]);
  });

  test('sRGB is dropped next to a profile', async () => {
    const png = withPngProfile(await barePng(raw(noise(32, 24, 3))), await p3Profile());
    const file = withPngChunks(png, pngChunk('gAMA', CHUNKS[0][1]), pngChunk('sRGB', Buffer.from([0])));
    const types = colourOf(await filled(file, 'png')).map(([type]) => type);
    expect(types.sort()).toEqual(['gAMA', 'iCCP']);
  });
});

describe('16 bits per channel', () => {
  const [width, height] = [40, 30];
  const numbers = (channels: number) => new Uint16Array(bytes(width * height * channels * 2, 5).buffer);
  const file16 = (channels: 1 | 2 | 3 | 4) =>
    sharp(numbers(channels), { raw: { width, height, channels } })
      .toColourspace(channels < 3 ? 'grey16' : 'rgb16')
      .png()
      .toBuffer();

  async function expectKnownPixels(file: Buffer, channels: 1 | 2 | 3 | 4) {
    const result = await filled(file, 'png');
    expect(result[24]).toBe(16); // bit depth, and that of the colour type
    expect(result[25]).toBe({ 1: 0, 2: 4, 3: 2, 4: 6 }[channels]);
    const sent = (await decode(file)).data16 as Uint16Array;
    const { data16: back = new Uint16Array(), data } = await decode(result);
    expect(sent.length).toBe(back.length);
    const each = sent.length / (width * height);
    for (let i = 0; i < sent.length; i++) {
      const p = Math.floor(i / each);
      if (!inHole(p % width, Math.floor(p / width), width, height)) expect(back[i]).toBe(sent[i]);
    }
    const middle = ((height / 2) * width + width / 2) * each;
    return [...data.subarray(middle, middle + 3)];
  }

  test.each([1, 2, 3, 4] as const)('%i channels come back, known pixels bit for bit', async (channels) => {
    const file = await file16(channels);
    expect(await expectKnownPixels(file, channels)).toEqual(channels < 3 ? [124, 124, 124] : [200, 100, 50]);
  });

  test('with a profile too', async () => {
    await expectKnownPixels(withPngProfile(await file16(3), await p3Profile()), 3);
    await expectKnownPixels(withPngProfile(await file16(4), await p3Profile()), 4);
    await expectKnownPixels(withPngProfile(await file16(1), linearGreyProfile()), 1);
  });

  test.each(['jpeg', 'webp'] as const)('%s has 8', async (format) => {
    expect(await sharp(await filled(await file16(3), format)).metadata()).toMatchObject({ depth: 'uchar' });
  });
});

describe('grey pictures', () => {
  const [width, height] = [32, 24];
  const values = bytes(width * height, 9);
  const grey = () => sharp(values, { raw: { width, height, channels: 1 } }).toColourspace('b-w');

  test.each([true, false])('a PNG keeps its bytes, with its profile: %s', async (profiled) => {
    const png = await grey().png().toBuffer();
    const result = await filled(profiled ? withPngProfile(png, linearGreyProfile()) : png, 'png');
    const { channels, icc, space } = await sharp(result).metadata();
    expect([channels, space]).toEqual([1, 'b-w']);
    expect(icc).toEqual(profiled ? linearGreyProfile() : undefined);
    const { data } = await decode(result);
    for (let p = 0; p < values.length; p++) {
      const [x, y] = [p % width, Math.floor(p / width)];
      expect(data[p * 3]).toBe(inHole(x, y, width, height) ? 124 : values[p]);
    }
  });

  test('a JPEG stays grey, with its profile', async () => {
    const jpeg = withJpegProfile(await grey().jpeg({ quality: 95 }).toBuffer(), linearGreyProfile());
    const { channels, icc } = await sharp(await filled(jpeg, 'jpeg')).metadata();
    expect([channels, icc]).toEqual([1, linearGreyProfile()]);
  });

  test('WebP is RGB: values stay without a profile, and are converted to sRGB with one', async () => {
    const flat = await raw(plain(width, height, [128, 128, 128]))
      .toColourspace('b-w')
      .png()
      .toBuffer();
    expect((await decode(await filled(flat, 'webp'))).data[0]).toBe(128);
    const converted = await decode(await filled(withPngProfile(flat, linearGreyProfile()), 'webp'));
    expect(Math.abs(converted.data[0] - 188)).toBeLessThan(4);
    expect(converted.icc).toBeUndefined();
  });
});

test('masks are read as plain numbers, whatever their profile', async () => {
  // Far apart, so that none is the soft edge of another.
  const values = [127, 0, 128, 0, 100];
  const dots = plain(5, 1, [0, 0, 0]);
  for (const [x, value] of values.entries()) dots.data.fill(value, x * 3, x * 3 + 3);
  const png = await raw(dots).png().toBuffer();
  const grey = await raw(dots).toColourspace('b-w').png().toBuffer();
  const gamma = pngChunk('gAMA', Buffer.from([0, 1, 0x86, 0xa0]));
  const files = [
    png,
    withPngProfile(png, await p3Profile()),
    withPngProfile(grey, linearGreyProfile()), // converted, 100 would become 165
    withPngChunks(grey, gamma),
  ];
  for (const file of files) {
    const { data } = await decodeMask(file, 'mask', LIMITS);
    expect([...data]).toEqual([0, 0, 255, 0, 0]);
  }
});

describe('EXIF', () => {
  let photo: Buffer;
  const THUMBNAIL = 'the picture before';
  const NOTE = 'a note of the maker';
  beforeAll(async () => {
    photo = await raw(noise(32, 24, 3))
      .jpeg()
      .toBuffer();
  });

  /** IFD0: orientation 6, 300 x 150 pixels per inch, EXIF and GPS directories. IFD1: a thumbnail. */
  function block(little: boolean): Buffer {
    const tiff = Buffer.alloc(400);
    const put16 = (at: number, value: number) =>
      little ? tiff.writeUInt16LE(value, at) : tiff.writeUInt16BE(value, at);
    const put32 = (at: number, value: number) =>
      little ? tiff.writeUInt32LE(value, at) : tiff.writeUInt32BE(value, at);
    const directory = (at: number, entries: [number, number, number, number][], next = 0) => {
      put16(at, entries.length);
      entries.forEach(([tag, type, count, value], i) => {
        const start = at + 2 + i * 12;
        put16(start, tag);
        put16(start + 2, type);
        put32(start + 4, count);
        if (type === 3 && count === 1) put16(start + 8, value);
        else put32(start + 8, value);
      });
      put32(at + 2 + entries.length * 12, next);
    };
    tiff.write(little ? 'II' : 'MM');
    put16(2, 42);
    put32(4, 8);
    directory(
      8,
      [
        [0x0112, 3, 1, 6],
        [0x011a, 5, 1, 184],
        [0x011b, 5, 1, 192],
        [0x8769, 4, 1, 320],
        [0x8825, 4, 1, 110],
      ],
      150,
    );
    directory(320, [
      [0x927c, 7, NOTE.length, 200],
      [0xa002, 4, 1, 9999],
      [0xa003, 3, 1, 9999],
    ]);
    directory(110, [
      [0x0001, 2, 2, little ? 0x4e : 0x4e000000],
      [0x001d, 2, 11, 240],
    ]);
    directory(150, [
      [0x0201, 4, 1, 300],
      [0x0202, 4, 1, THUMBNAIL.length],
    ]);
    for (const [i, number] of [300, 1, 150, 1].entries()) put32(184 + 4 * i, number);
    tiff.write(NOTE, 200);
    tiff.write('2026:11:25\0', 240);
    tiff.write(THUMBNAIL, 300);
    return tiff;
  }
  const withExif = (jpeg: Buffer, tiff: Buffer) => {
    const head = Buffer.from([0xff, 0xe1, 0, 0, ...Buffer.from('Exif\0\0')]);
    head.writeUInt16BE(head.length - 2 + tiff.length, 2);
    return Buffer.concat([jpeg.subarray(0, 2), head, tiff, jpeg.subarray(2)]);
  };

  test.each(FORMATS)('%s: none unless asked', async (format) => {
    const result = await filled(withExif(photo, block(true)), format);
    expect((await sharp(result).metadata()).exif).toBeUndefined();
    expect(result.includes('2026:11:25')).toBe(false);
  });

  test.each(
    FORMATS.flatMap((format) => [true, false].map((little) => ({ format, little }))),
  )('$format, little-endian $little: kept, for the picture as it is now', async ({ format, little }) => {
    const result = await filled(withExif(photo, block(little)), format, true);
    const { exif = Buffer.alloc(0), orientation, width, height } = await sharp(result).metadata();
    expect([orientation, width, height]).toEqual([1, 24, 32]);
    expect(exif.includes('2026:11:25')).toBe(true);
    expect(result.includes(THUMBNAIL)).toBe(false);
    expect(result.includes(NOTE)).toBe(false);
    const tiff = exif.subarray(exif.indexOf(little ? 'II' : 'MM'));
    const read = (at: number, bytes: 2 | 4) =>
      little ? tiff.readUIntLE(at, bytes) : tiff.readUIntBE(at, bytes);
    expect([read(342, 4), read(354, 2)]).toEqual([24, 32]); // pixel dimensions
    expect([184, 188, 192, 196].map((at) => read(at, 4))).toEqual([150, 1, 300, 1]); // pixels per inch
    expect(read(8 + 2 + 5 * 12, 4)).toBe(0); // no second directory
    expect(await decode(result)).toMatchObject({ width: 24, height: 32 });
  });

  test('damaged or oversized blocks are left out, and no bytes make cleanExif fail', () => {
    const size = { width: 1, height: 1 };
    expect(cleanExif(Buffer.concat([block(true), Buffer.alloc(70_000)]), size)).toBeUndefined();
    const good = block(true);
    expect(cleanExif(good, size)?.length).toBe(good.length);
    for (let seed = 0; seed < 2000; seed++) {
      const [at, value] = new Uint16Array(bytes(4, seed).buffer);
      const damaged = Buffer.from(good);
      damaged[at % 200] = value;
      damaged[(at * 7) % 200] = value >> 8;
      const cleaned = cleanExif(damaged.subarray(0, 400 - (seed % 300)), size);
      expect([undefined, 400 - (seed % 300)]).toContain(cleaned?.length);
    }
  });
});

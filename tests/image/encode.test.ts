import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodePicture } from '../../src/image/decode.ts';
import { assertFits, encodeMask, encodePicture } from '../../src/image/encode.ts';
import { decodeMask } from '../../src/image/mask-reading.ts';
import type { Picture } from '../../src/image/picture.ts';
import sharp from '../../src/image/sharp.ts';
import { readMetadata } from '../helpers/metadata.ts';
import { bytes, LIMITS, maskOf, noise, p3Profile, plain, raw, withPngProfile } from './make.ts';

const decode = (file: Buffer) => decodePicture(file, 'image', LIMITS);
const FORMATS = ['png', 'jpeg', 'webp'] as const;

describe('lossless', () => {
  test.each([
    ['png', undefined, 3],
    ['png', 1, 4],
    ['webp', 100, 3],
    ['webp', 100, 4],
  ] as const)('%s at quality %s with %i channels', async (format, quality, channels) => {
    const picture = noise(61, 43, channels);
    const read = await decode(await encodePicture(picture, { format, quality }));
    expect(read.channels).toBe(channels);
    expect(Buffer.compare(read.data, picture.data)).toBe(0);
  });
});

describe('lossy', () => {
  test.each([
    'jpeg',
    'webp',
  ] as const)('%s: lower quality gives a smaller file, and the default is 90', async (format) => {
    const size = async (quality?: number) =>
      (await encodePicture(noise(64, 64, 3), { format, quality })).length;
    expect(await size(20)).toBeLessThan(await size(90));
    expect(await size(90)).toBeLessThan(await size(99));
    expect(await size()).toBe(await size(90));
  });

  test('WebP of a lossless file is lossless, unless a quality is given', async () => {
    const picture = noise(40, 30, 4);
    const exact = async (file: Buffer, quality?: number) => {
      const read = await decode(file);
      const back = await decode(await encodePicture(read, { format: 'webp', quality }));
      return Buffer.compare(back.data, read.data) === 0;
    };
    const lossless = [
      raw(picture).png(),
      raw(picture).webp({ lossless: true, exact: true }),
      raw(picture).withXmp('<x/>').webp({ lossless: true, exact: true }), // an extended WebP
      raw(picture).gif(),
      raw(picture).tiff({ compression: 'lzw' }),
      raw(picture).tiff({ compression: 'lzw', bigtiff: true }),
    ];
    for (const file of await Promise.all(lossless.map((each) => each.toBuffer()))) {
      expect(await exact(file)).toBe(true);
      expect(await exact(file, 90)).toBe(false);
    }
    const opaque = raw(noise(40, 30, 3));
    const lossy = [
      opaque.clone().jpeg(),
      opaque.clone().webp(),
      raw(picture).webp(),
      opaque.clone().tiff({ compression: 'jpeg' }),
      opaque.clone().tiff({ compression: 'jpeg', bigtiff: true }),
    ];
    for (const file of await Promise.all(lossy.map((each) => each.toBuffer()))) {
      expect(await exact(file)).toBe(false);
    }
  });

  test('JPEG blends transparent pixels onto white', async () => {
    const { data, channels } = await decode(
      await encodePicture(plain(16, 16, [0, 0, 0, 0]), { format: 'jpeg' }),
    );
    expect(channels).toBe(3);
    expect(data.every((value) => value >= 253)).toBe(true);
  });

  test('JPEG does not subsample chroma', async () => {
    const file = await encodePicture(noise(16, 16, 3), { format: 'jpeg' });
    expect((await sharp(file).metadata()).chromaSubsampling).toBe('4:4:4');
  });
});

describe('ICC profile', () => {
  let p3: Buffer;
  beforeAll(async () => {
    p3 = await p3Profile();
  });

  test.each([
    3, 4,
  ] as const)('decoding and encoding keep pixels and profile, %i channels', async (channels) => {
    const picture = noise(50, 33, channels);
    const sent = withPngProfile(await raw(picture).png().toBuffer(), p3);
    for (const format of ['png', 'webp'] as const) {
      const read = await decode(await encodePicture(await decode(sent), { format, quality: 100 }));
      expect(Buffer.compare(read.data, picture.data)).toBe(0);
      expect(read.icc).toEqual(p3);
    }
  });

  test('lossy formats do not convert the values either', async () => {
    const picture = plain(32, 32, [220, 40, 90]);
    for (const format of ['jpeg', 'webp'] as const) {
      const read = await decode(await encodePicture({ ...picture, icc: p3 }, { format }));
      expect(read.icc).toEqual(p3);
      for (let i = 0; i < read.data.length; i++)
        expect(Math.abs(read.data[i] - picture.data[i])).toBeLessThan(5);
    }
  });

  test('JPEG blends onto white with a profile too', async () => {
    const read = await decode(
      await encodePicture({ ...plain(16, 16, [0, 0, 0, 0]), icc: p3 }, { format: 'jpeg' }),
    );
    expect(read.icc).toEqual(p3);
    expect(read.data.every((value) => value >= 253)).toBe(true);
  });

  test.each(FORMATS)('%s without a profile stays without one', async (format) => {
    const file = await encodePicture(noise(8, 8, 3), { format, metadata: { seed: 1 } });
    expect((await sharp(file).metadata()).hasProfile).toBe(false);
  });
});

describe('metadata', () => {
  test.each(FORMATS)('%s keeps metadata, with and without a profile', async (format) => {
    const metadata = {
      seed: 4294967295,
      model: 'faces@1.0.0',
      eta: 0.5,
      box: { left: -1 },
      note: `<&>"'é日\u0000\u2028\ud800`,
    };
    for (const icc of [undefined, await p3Profile()]) {
      const picture: Picture = { ...noise(9, 7, 4), icc };
      const file = await encodePicture(picture, { format, metadata });
      expect(await readMetadata(file)).toEqual(metadata);
      expect((await decode(file)).icc).toEqual(icc);
    }
  });

  test('any JSON survives a round trip', async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue()), async (record) => {
        const metadata = JSON.parse(JSON.stringify(record));
        const file = await encodePicture(noise(1, 1, 3), { format: 'png', metadata });
        expect(await readMetadata(file)).toEqual(metadata);
      }),
      { numRuns: 50 },
    );
  });

  test('a picture without metadata gives undefined', async () => {
    expect(await readMetadata(await encodePicture(noise(9, 7, 3), { format: 'png' }))).toBeUndefined();
  });
});

test.each([
  [1, 1],
  [10_000, 1],
])('%i x %i pixels in every format', async (width, height) => {
  for (const format of FORMATS) {
    const read = await decode(await encodePicture(noise(width, height, 4), { format }));
    expect([read.width, read.height]).toEqual([width, height]);
  }
});

test('a picture that is too large for the format is refused, with field format', async () => {
  const wide = plain(16_384, 1, [1, 2, 3]);
  await expect(encodePicture(wide, { format: 'webp' })).rejects.toMatchObject({
    code: 'too-large',
    field: 'format',
  });
  expect((await decode(await encodePicture(wide, { format: 'jpeg' }))).width).toBe(16_384);
  expect(() => assertFits({ width: 1, height: 65_536 }, 'jpeg')).toThrow(/jpeg supports at most 65535/);
  expect(() => assertFits({ width: 16_383, height: 16_383 }, 'webp')).not.toThrow();
});

describe('encodeMask', () => {
  test('is a one-channel PNG', async () => {
    const mask = maskOf(33, 21, (x, y) => (x * y) % 3 === 0);
    const file = await encodeMask(mask);
    expect(await sharp(file).metadata()).toMatchObject({ format: 'png', channels: 1, depth: 'uchar' });
    expect(await decodeMask(file, 'mask', LIMITS)).toMatchObject({ width: 33, height: 21 });
    expect(Buffer.compare((await decodeMask(file, 'mask', LIMITS)).data, mask.data)).toBe(0);
  });

  test('keeps every value of an uncertainty map', async () => {
    const data = bytes(33 * 21, 4);
    const read = await decode(await encodeMask({ width: 33, height: 21, data }));
    for (let p = 0; p < data.length; p++) expect(read.data[p * 3]).toBe(data[p]);
  });
});

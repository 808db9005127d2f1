import { beforeAll, describe, expect, test } from 'vitest';
import { decodePicture } from '../../src/image/decode.ts';
import { encodePicture } from '../../src/image/encode.ts';
import type { Picture } from '../../src/image/picture.ts';
import sharp from '../../src/image/sharp.ts';
import {
  bigEndianTiff,
  bytes,
  LIMITS,
  linearGreyProfile,
  noise,
  p3Profile,
  plain,
  raw,
  withJpegProfile,
  withPngProfile,
} from './make.ts';

const decode = (file: Buffer) => decodePicture(file, 'image', LIMITS);

function expectNear(picture: Picture, expected: number[], tolerance: number) {
  for (let i = 0; i < picture.data.length; i++) {
    expect(Math.abs(picture.data[i] - expected[i % expected.length])).toBeLessThanOrEqual(tolerance);
  }
}

describe('formats', () => {
  const picture = noise(37, 23, 3);
  test.each([
    ['PNG', () => raw(picture).png()],
    ['lossless WebP', () => raw(picture).webp({ lossless: true })],
    ['TIFF', () => raw(picture).tiff({ compression: 'lzw' })],
  ])('%s is decoded exactly', async (_, make) => {
    expect(await decode(await make().toBuffer())).toMatchObject({ width: 37, height: 23, channels: 3 });
    expect(Buffer.compare((await decode(await make().toBuffer())).data, picture.data)).toBe(0);
  });

  test('TIFF is read in either byte order, and as BigTIFF', async () => {
    const bigTiff = await raw(picture).tiff({ bigtiff: true, compression: 'lzw' }).toBuffer();
    expect(bigTiff.toString('latin1', 0, 4)).toBe('II+\0');
    for (const file of [bigTiff, bigEndianTiff(picture)]) {
      expect(Buffer.compare((await decode(file)).data, picture.data)).toBe(0);
    }
  });

  test('a TIFF whose tags are out of order is read; one that is cut is not', async () => {
    const file = bigEndianTiff(picture);
    const [first, second] = [file.subarray(10, 22), file.subarray(22, 34)].map((tag) => Buffer.from(tag));
    const swapped = Buffer.from(file);
    swapped.set(second, 10);
    swapped.set(first, 22);
    expect(Buffer.compare((await decode(swapped)).data, picture.data)).toBe(0);
    for (const tiff of [file, swapped]) {
      await expect(decode(tiff.subarray(0, tiff.length - 9))).rejects.toThrow(/truncated/);
    }
  });

  test('GIF is read in its older version too', async () => {
    const file = await raw(plain(4, 4, [255, 0, 0]))
      .gif()
      .toBuffer();
    file.write('GIF87a', 'latin1');
    expect([...(await decode(file)).data.subarray(0, 3)]).toEqual([255, 0, 0]);
  });

  test('JPEG, AVIF and GIF are read', async () => {
    const flat = plain(40, 20, [200, 100, 50]);
    for (const pipeline of [raw(flat).jpeg(), raw(flat).avif(), raw(flat).gif()]) {
      const read = await decode(await pipeline.toBuffer());
      expect([read.width, read.height]).toEqual([40, 20]);
      expectNear(read, read.channels === 4 ? [200, 100, 50, 255] : [200, 100, 50], 6);
    }
  });

  test.each([
    [1, 1],
    [10_000, 1],
    [1, 10_000],
  ])('%i x %i pixels', async (width, height) => {
    const line = noise(width, height, 4);
    const read = await decode(await raw(line).png().toBuffer());
    expect([read.width, read.height, read.channels]).toEqual([width, height, 4]);
    expect(Buffer.compare(read.data, line.data)).toBe(0);
  });

  test('the first frame of an animation is decoded', async () => {
    const frames = [
      await raw(plain(8, 6, [255, 0, 0]))
        .png()
        .toBuffer(),
      await raw(plain(8, 6, [0, 0, 255]))
        .png()
        .toBuffer(),
    ];
    const gif = await sharp(frames, { join: { animated: true } })
      .gif()
      .toBuffer();
    const webp = await sharp(gif, { animated: true }).webp({ lossless: true }).toBuffer();
    expect((await sharp(webp).metadata()).pages).toBe(2);
    for (const file of [gif, webp]) {
      const read = await decode(file);
      expect([read.width, read.height]).toEqual([8, 6]);
      expect([...read.data.subarray(0, 3)]).toEqual([255, 0, 0]);
    }
  });
});

describe('other pixel formats become 8-bit RGB or RGBA', () => {
  test('of 16-bit channels, data has the upper 8 bits and data16 all', async () => {
    const data16 = new Uint16Array(bytes(9 * 9 * 3 * 2, 3).buffer);
    const file = await sharp(data16, { raw: { width: 9, height: 9, channels: 3 } })
      .toColourspace('rgb16')
      .png()
      .toBuffer();
    const read = await decode(file);
    expect(read.channels).toBe(3);
    expect(read.data16).toEqual(data16);
    expect(read.data).toEqual(Uint8Array.from(data16, (number) => number >> 8));
  });

  test('palette, with and without transparency', async () => {
    const opaque = await raw(plain(4, 4, [9, 80, 200]))
      .png({ palette: true })
      .toBuffer();
    const clear = await raw(plain(4, 4, [9, 80, 200, 100]))
      .png({ palette: true })
      .toBuffer();
    expect((await sharp(opaque).metadata()).isPalette).toBe(true);
    expect([...(await decode(opaque)).data.subarray(0, 3)]).toEqual([9, 80, 200]);
    expect([...(await decode(clear)).data.subarray(0, 4)]).toEqual([9, 80, 200, 100]);
  });

  test('grey, 8 and 16 bits, with and without alpha', async () => {
    const grey = raw(plain(4, 4, [77, 77, 77]));
    const greyAlpha = raw(plain(4, 4, [77, 77, 77, 50]));
    for (const space of ['b-w', 'grey16']) {
      const opaque = await grey.clone().toColourspace(space).png().toBuffer();
      expect((await sharp(opaque).metadata()).channels).toBe(1);
      expectNear(await decode(opaque), [77, 77, 77], 0);
      const clear = await greyAlpha.clone().toColourspace(space).png().toBuffer();
      expect((await sharp(clear).metadata()).channels).toBe(2);
      expectNear(await decode(clear), [77, 77, 77, 50], 0);
    }
  });

  test('CMYK is converted to sRGB, with and without a profile, and the profile is dropped', async () => {
    const cmyk = raw(plain(16, 16, [190, 120, 60])).toColourspace('cmyk');
    for (const file of [
      await cmyk.clone().jpeg({ quality: 100 }).toBuffer(),
      await cmyk.clone().withIccProfile('cmyk').jpeg({ quality: 100 }).toBuffer(),
    ]) {
      expect((await sharp(file).metadata()).space).toBe('cmyk');
      const read = await decode(file);
      expect(read.channels).toBe(3);
      expect(read.icc).toBeUndefined();
      expectNear(read, [190, 120, 60], 30);
    }
  });

  test('Lab with 16 and 32 bits is converted to sRGB', async () => {
    for (const space of ['labs', 'lab']) {
      const lab = raw(plain(16, 16, [190, 120, 60]))
        .toColourspace(space)
        .tiff({ compression: 'lzw' });
      const file = await lab.toBuffer();
      expect((await sharp(file).metadata()).space).toBe(space);
      expectNear(await decode(file), [190, 120, 60], 1);
    }
  });

  test('Lab with 8 bits, which libvips cannot read, is refused with that reason', async () => {
    const file = await raw(noise(16, 16, 3))
      .tiff({ compression: 'lzw' })
      .toBuffer();
    const [PHOTOMETRIC, LAB] = [262, 8];
    const entry = Buffer.from([PHOTOMETRIC & 0xff, PHOTOMETRIC >> 8, 3, 0, 1, 0, 0, 0]); // one 16-bit number
    file[file.indexOf(entry) + entry.length] = LAB;
    const reason = 'image is Lab with 8 bits per channel; send RGB';
    await expect(decode(file)).rejects.toMatchObject({ code: 'unsupported', message: reason });
  });
});

describe('ICC profiles', () => {
  let p3: Buffer;
  beforeAll(async () => {
    p3 = await p3Profile();
  });

  test.each([
    3, 4,
  ] as const)('RGB with %i channels: the values stay, the profile is kept', async (channels) => {
    const picture = noise(31, 17, channels);
    const file = withPngProfile(await raw(picture).png().toBuffer(), p3);
    // By default, sharp would convert this file.
    expect(Buffer.compare(await sharp(file).raw().toBuffer(), picture.data)).not.toBe(0);
    const read = await decode(file);
    expect(Buffer.compare(read.data, picture.data)).toBe(0);
    expect(read.icc).toEqual(p3);
  });

  test('JPEG: the profile does not change the values', async () => {
    const file = await raw(noise(32, 32, 3))
      .jpeg()
      .toBuffer();
    const read = await decode(withJpegProfile(file, p3));
    expect(Buffer.compare(read.data, (await decode(file)).data)).toBe(0);
    expect(read.icc).toEqual(p3);
  });

  test('an RGB profile on a grey picture is kept', async () => {
    const grey = await raw(plain(8, 8, [90, 90, 90]))
      .toColourspace('b-w')
      .jpeg({ quality: 100 })
      .toBuffer();
    const read = await decode(withJpegProfile(grey, p3));
    expectNear(read, [90, 90, 90], 0);
    expect(read.icc).toEqual(p3);
  });

  test('a damaged profile is dropped, and the picture can still be encoded', async () => {
    const damaged = Buffer.from(p3);
    damaged[0] = 0x7f; // the profile size, which libpng checks
    const jpeg = await raw(noise(16, 16, 3))
      .jpeg()
      .toBuffer();
    const read = await decode(withJpegProfile(jpeg, damaged));
    expect(Buffer.compare(read.data, (await decode(jpeg)).data)).toBe(0);
    expect(read.icc).toBeUndefined();
    const written = await encodePicture(read, { format: 'png' });
    expect(Buffer.compare((await decode(written)).data, read.data)).toBe(0);
  });

  test('a grey profile does not change the values, and is kept', async () => {
    const grey = await raw(plain(8, 8, [128, 128, 128]))
      .toColourspace('b-w')
      .png()
      .toBuffer();
    const file = withPngProfile(grey, linearGreyProfile());
    expect((await sharp(file).metadata()).hasProfile).toBe(true);
    const read = await decode(file);
    expect(read).toMatchObject({ channels: 3, grey: true });
    expect(read.icc).toEqual(linearGreyProfile());
    expectNear(read, [128, 128, 128], 0);
  });

  test('a grey profile on RGB pixels is invalid: it is dropped without a conversion', async () => {
    const picture = noise(16, 16, 3);
    const jpeg = await raw(picture).jpeg().toBuffer();
    const read = await decode(withJpegProfile(jpeg, linearGreyProfile()));
    expect(Buffer.compare(read.data, (await decode(jpeg)).data)).toBe(0);
    expect(read.icc).toBeUndefined();
  });
});

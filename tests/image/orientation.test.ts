import { describe, expect, test } from 'vitest';
import { decodePicture } from '../../src/image/decode.ts';
import { decodeMask } from '../../src/image/mask-reading.ts';
import { bytes, LIMITS, maskOf, noise, raw } from './make.ts';

/** The stored position of the displayed pixel (x, y), for each EXIF orientation of a w x h file (EXIF 2.32, 4.6.4.A). */
const STORED: Record<number, (x: number, y: number, w: number, h: number) => [number, number]> = {
  1: (x, y) => [x, y],
  2: (x, y, w) => [w - 1 - x, y],
  3: (x, y, w, h) => [w - 1 - x, h - 1 - y],
  4: (x, y, _, h) => [x, h - 1 - y],
  5: (x, y) => [y, x],
  6: (x, y, _, h) => [y, h - 1 - x],
  7: (x, y, w, h) => [w - 1 - y, h - 1 - x],
  8: (x, y, w) => [w - 1 - y, x],
};
const ORIENTATIONS = Object.keys(STORED).map(Number);
const EXACT = { png: {}, webp: { lossless: true, exact: true }, tiff: { compression: 'none' } } as const;
const [W, H] = [7, 4];

describe.each(ORIENTATIONS)('EXIF orientation %i', (orientation) => {
  const shown = orientation < 5 ? [W, H] : [H, W];

  test.each(['png', 'webp', 'tiff'] as const)('picture, %s', async (format) => {
    const picture = noise(W, H, 4);
    const file = await raw(picture).withMetadata({ orientation }).toFormat(format, EXACT[format]).toBuffer();
    const read = await decodePicture(file, 'image', LIMITS);
    expect([read.width, read.height]).toEqual(shown);
    for (let y = 0; y < read.height; y++) {
      for (let x = 0; x < read.width; x++) {
        const [sx, sy] = STORED[orientation](x, y, W, H);
        const at = (y * read.width + x) * 4;
        const from = (sy * W + sx) * 4;
        expect([...read.data.subarray(at, at + 4)]).toEqual([...picture.data.subarray(from, from + 4)]);
      }
    }
  });

  test.each(['png', 'jpeg'] as const)('mask, %s', async (format) => {
    // Blocks of 8 x 8 pixels, which JPEG compresses independently.
    const random = bytes(W * H, 5);
    const mask = maskOf(W * 8, H * 8, (x, y) => random[(y >> 3) * W + (x >> 3)] > 127);
    const file = await raw({
      ...mask,
      channels: 3,
      data: Uint8Array.from({ length: mask.data.length * 3 }, (_, i) => mask.data[Math.floor(i / 3)]),
    })
      .withMetadata({ orientation })
      .toFormat(format)
      .toBuffer();
    const read = await decodeMask(file, 'mask', LIMITS);
    expect([read.width, read.height]).toEqual([shown[0] * 8, shown[1] * 8]);
    const expected = maskOf(read.width, read.height, (x, y) => {
      const [sx, sy] = STORED[orientation](x, y, W * 8, H * 8);
      return mask.data[sy * W * 8 + sx] === 255;
    });
    expect(Buffer.compare(read.data, expected.data)).toBe(0);
  });
});

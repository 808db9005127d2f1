import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { isLossless } from '../../src/image/lossless.ts';

const picture = () => sharp({ create: { width: 8, height: 8, channels: 3, background: '#4080c0' } });

/** A WebP that begins with a chunk of a made-up type. */
function webp(size: number, ...rest: Buffer[]): Buffer {
  const chunk = Buffer.from('RIFF....WEBPJUNK....', 'latin1');
  chunk.writeUInt32LE(size, 16);
  return Buffer.concat([chunk, ...rest]);
}

describe('a WebP', () => {
  test('is lossless if its pixels are compressed so', async () => {
    expect(isLossless(await picture().webp({ lossless: true }).toBuffer(), 'webp')).toBe(true);
    expect(isLossless(await picture().webp({ lossless: false }).toBuffer(), 'webp')).toBe(false);
  });

  test('may have chunks of an even or odd size before its pixels', () => {
    const pixels = Buffer.from('VP8L\0\0\0\0', 'latin1');
    expect(isLossless(webp(2, Buffer.alloc(2), pixels), 'webp')).toBe(true);
    expect(isLossless(webp(1, Buffer.alloc(2), pixels), 'webp')).toBe(true);
  });

  test('with thousands of chunks is searched at its start alone', () => {
    const pixels = Buffer.from('VP8L\0\0\0\0', 'latin1');
    expect(isLossless(webp(0, ...Array(10).fill(Buffer.from('JUNK\0\0\0\0')), pixels), 'webp')).toBe(true);
    expect(isLossless(webp(0, ...Array(1000).fill(Buffer.from('JUNK\0\0\0\0')), pixels), 'webp')).toBe(false);
  });

  test.each([
    0x7f_ff_ff_ff, 0x80_00_00_00, 0xff_ff_ff_f0, 0xff_ff_ff_f7, 0xff_ff_ff_ff,
  ])('is read to its end if a chunk claims a size of %i', (size) => {
    expect(isLossless(webp(size), 'webp')).toBe(false);
    expect(isLossless(webp(size, Buffer.alloc(100)), 'webp')).toBe(false);
  });
});

test('a TIFF is lossless unless its compression loses information', async () => {
  expect(isLossless(await picture().tiff({ compression: 'lzw' }).toBuffer(), 'tiff')).toBe(true);
  expect(isLossless(await picture().tiff({ compression: 'jpeg' }).toBuffer(), 'tiff')).toBe(false);
});

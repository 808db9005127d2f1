import { deflateSync } from 'node:zlib';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { decodePicture } from '../../src/image/decode.ts';
import { decodeMask } from '../../src/image/mask-reading.ts';
import { PictureError } from '../../src/image/picture.ts';
import sharp from '../../src/image/sharp.ts';
import { LIMITS, noise, plain, pngChunk, raw } from './make.ts';

async function refusal(file: Buffer, limits = LIMITS): Promise<PictureError> {
  const error = await decodePicture(file, 'image', limits).catch((reason: unknown) => reason);
  if (!(error instanceof PictureError)) throw new Error(`expected a PictureError, got ${String(error)}`);
  expect(error.field).toBe('image');
  return error;
}

/** A TIFF of 4 x 4 grey pixels of 0. kind: its SampleFormat: 1 unsigned, 2 signed, 3 floating point. */
function greyTiff(bits: number, kind: number): Buffer {
  const [SHORT, LONG] = [3, 4];
  const size = (16 * bits) / 8;
  const tags = [
    [256, SHORT, 4], // width
    [257, SHORT, 4], // height
    [258, SHORT, bits],
    [259, SHORT, 1], // not compressed
    [262, SHORT, 1], // 0 is black
    [273, LONG, 8], // where the pixels are
    [277, SHORT, 1],
    [278, SHORT, 4],
    [279, LONG, size],
    [339, SHORT, kind],
  ];
  const file = Buffer.alloc(8 + size + 2 + 12 * tags.length + 4);
  file.write('II*\0', 'latin1');
  file.writeUInt32LE(8 + size, 4);
  file.writeUInt16LE(tags.length, 8 + size);
  for (const [i, [tag, type, value]] of tags.entries()) {
    const at = 8 + size + 2 + 12 * i;
    file.writeUInt16LE(tag, at);
    file.writeUInt16LE(type, at + 2);
    file.writeUInt32LE(1, at + 4);
    file.writeUInt32LE(value, at + 8);
  }
  return file;
}

describe('empty and unsupported files', () => {
  test('an empty file is unreadable', async () => {
    const error = await refusal(Buffer.alloc(0));
    expect(error.code).toBe('unreadable');
    expect(error.message).toBe('image is empty (0 bytes)');
  });

  test.each([
    ['text', Buffer.from('hello, I am a picture')],
    ['one byte', Buffer.from([0x89])],
    ['SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')],
    ['PDF', Buffer.from('%PDF-1.7\n1 0 obj')],
    ['BMP', Buffer.from('BM\x46\0\0\0\0\0\0\0\x36\0\0\0', 'latin1')],
    ['HEIC', Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1')],
    ['MP4', Buffer.from('\0\0\0\x18ftypisom\0\0\0\0isommp41', 'latin1')],
    ['WAV', Buffer.from('RIFF\x24\0\0\0WAVEfmt ', 'latin1')],
    ['JPEG XL', Buffer.from('\xff\x0a\0\0\0\0\0\0', 'latin1')],
  ])('%s is unsupported', async (_, file) => {
    expect((await refusal(file)).code).toBe('unsupported');
  });

  test.each([
    ['32-bit integers', 32, 1],
    ['signed 16-bit integers', 16, 2],
    ['32-bit floating point', 32, 3],
  ])('grey of %s is unsupported, and the message says what to send', async (_, bits, kind) => {
    const error = await refusal(greyTiff(bits, kind));
    expect(error.code).toBe('unsupported');
    expect(error.message).toMatch(/^image has samples of type \w+; send 8 or 16 bits per channel$/);
    expect((await decodePicture(greyTiff(16, 1), 'image', LIMITS)).data16).toBeDefined();
  });

  test('an animated AVIF without a still picture is unsupported, and the message says why', async () => {
    const box = (type: string, data = '') => {
      const bytes = Buffer.from(`\0\0\0\0${type}${data}`, 'latin1');
      bytes.writeUInt32BE(bytes.length);
      return bytes;
    };
    const file = Buffer.concat([box('ftyp', 'avis\0\0\0\0avisavifmsf1'), box('moov'), box('mdat')]);
    const error = await refusal(file);
    expect(error.code).toBe('unsupported');
    expect(error.message).toMatch(/animated AVIF/);
  });

  test('masks are refused for the same reasons, with field mask', async () => {
    await expect(decodeMask(Buffer.from('no'), 'mask', LIMITS)).rejects.toMatchObject({
      name: 'PictureError',
      field: 'mask',
      code: 'unsupported',
    });
  });
});

test('a side longer than maxSide is too large, whichever it is', async () => {
  for (const [width, height] of [
    [21, 2],
    [2, 21],
  ]) {
    const file = await raw(noise(width, height, 3))
      .png()
      .toBuffer();
    const error = await refusal(file, { ...LIMITS, maxSide: 20 } as typeof LIMITS);
    expect(error.code).toBe('too-large');
    expect(error.message).toMatch(/each side may have at most 20/);
    await decodePicture(file, 'image', { ...LIMITS, maxSide: 21 });
  }
});

describe('damaged files', () => {
  const pipelines = {
    png: raw(noise(64, 64, 3)).png(),
    jpeg: raw(noise(64, 64, 3)).jpeg(),
    'progressive jpeg': raw(noise(64, 64, 3)).jpeg({ progressive: true }),
    webp: raw(noise(64, 64, 3)).webp(),
    avif: raw(noise(64, 64, 3)).avif({ effort: 0 }),
    tiff: raw(noise(64, 64, 3)).tiff({ compression: 'lzw' }),
    gif: raw(noise(64, 64, 3)).gif(),
  };
  test.each(
    Object.entries(pipelines),
  )('a %s truncated at any position is unreadable', async (_, pipeline) => {
    const file = await pipeline.toBuffer();
    for (let part = 1; part < 16; part++) {
      const length = Math.max(32, Math.floor((file.length * part) / 16));
      expect((await refusal(file.subarray(0, length))).code).toBe('unreadable');
    }
  });

  test('a flipped bit in a PNG is detected by its checksum', async () => {
    const file = await raw(noise(64, 64, 3))
      .png()
      .toBuffer();
    file[file.length >> 1] ^= 1;
    expect((await refusal(file)).code).toBe('unreadable');
  });

  test('a JPEG with a gap in the middle is unreadable', async () => {
    const file = await raw(noise(64, 64, 3))
      .jpeg()
      .toBuffer();
    const gap = Buffer.concat([file.subarray(0, file.length >> 1), file.subarray((file.length >> 1) + 400)]);
    expect((await refusal(gap)).code).toBe('unreadable');
  });

  test('a file with only a signature is unreadable', async () => {
    for (const head of ['\x89PNG\r\n\x1a\n', '\xff\xd8\xff', 'GIF89a', 'II*\0', 'RIFF\x04\0\0\0WEBP']) {
      expect((await refusal(Buffer.from(head, 'latin1'))).code).toBe('unreadable');
    }
  });
});

describe('decompression bombs are refused from their header', () => {
  const SIDE = 30_000;

  function pngBomb(): Buffer {
    const header = Buffer.alloc(13);
    header.writeUInt32BE(SIDE);
    header.writeUInt32BE(SIDE, 4);
    header.set([8, 2], 8);
    const chunks = [
      pngChunk('IHDR', header),
      pngChunk('IDAT', deflateSync(Buffer.alloc(100_000))),
      pngChunk('IEND', Buffer.alloc(0)),
    ];
    return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), ...chunks]);
  }

  async function jpegBomb(): Promise<Buffer> {
    const file = await raw(plain(8, 8, [1, 2, 3]))
      .jpeg({ optimiseCoding: false })
      .toBuffer();
    const frame = file.indexOf(Buffer.from([0xff, 0xc0]));
    file.writeUInt16BE(SIDE, frame + 5);
    file.writeUInt16BE(SIDE, frame + 7);
    return file;
  }

  function gifBomb(): Buffer {
    const side = Buffer.alloc(2);
    side.writeUInt16LE(SIDE);
    const screen = [Buffer.from('GIF89a'), side, side, Buffer.from([0x80, 0, 0, 0, 0, 0, 255, 255, 255])];
    const frame = [Buffer.from([0x2c, 0, 0, 0, 0]), side, side, Buffer.from([0, 2, 2, 0x4c, 1, 0, 0x3b])];
    return Buffer.concat([...screen, ...frame]);
  }

  test.each([
    ['PNG', pngBomb],
    ['JPEG', jpegBomb],
    ['GIF', gifBomb],
  ])('%s of 30000 x 30000 pixels', async (_, make) => {
    const file = await make();
    expect(file.length).toBeLessThan(1000);
    const decodes = vi.spyOn(sharp.prototype, 'toBuffer');
    onTestFinished(() => decodes.mockRestore());
    const error = await refusal(file);
    expect(error.code).toBe('too-large');
    expect(error.message).toContain('30000 x 30000');
    expect(error.message).toContain('25000000');
    expect(decodes).not.toHaveBeenCalled(); // decoded it would be 2.7 GB

    const small = await raw(noise(8, 8, 3))
      .png()
      .toBuffer();
    decodes.mockClear();
    await decodePicture(small, 'image', LIMITS);
    expect(decodes).toHaveBeenCalledOnce(); // what is accepted is decoded by that function
  });

  test('a picture with exactly maxPixels pixels is accepted', async () => {
    const file = await raw(noise(10, 20, 3))
      .png()
      .toBuffer();
    expect((await refusal(file, { maxPixels: 199 })).code).toBe('too-large');
    expect((await decodePicture(file, 'image', { maxPixels: 200 })).width).toBe(10);
  });
});

test('a thin picture is too large when its rows alone are as much work as a picture of maxPixels', async () => {
  const strip = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: 'grey' } })
      .png()
      .toBuffer();
  const limits = { maxPixels: 2_000_000 };
  for (const [width, height] of [
    [1, 31_251],
    [31_251, 1],
  ]) {
    const error = await refusal(await strip(width, height), limits);
    expect(error.code).toBe('too-large');
    expect(error.message).toContain('a side below 64 counts as 64');
  }
  await expect(decodePicture(await strip(1, 31_250), 'image', limits)).resolves.toMatchObject({ width: 1 });
  await expect(decodePicture(await strip(1, 1000), 'image', { maxPixels: 1000 })).resolves.toBeDefined();
});

import { deflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { decodePicture } from '../../src/image/decode.ts';
import { sourceOf } from '../../src/image/header.ts';
import { LIMITS, noise, p3Profile, pngChunk, raw } from './make.ts';

const PICTURE = noise(40, 30, 3);
const HEAD = 33; // signature and IHDR
const END = 12; // IEND
const zeros = (bytes: number) => deflateSync(Buffer.alloc(bytes));
const named = (name: string, data: Buffer) => Buffer.concat([Buffer.from(`${name}\0\0`, 'latin1'), data]);
const profile = (data: Buffer) => pngChunk('iCCP', named('p', data));

async function png(chunks: Buffer[], last: Buffer[] = []): Promise<Buffer> {
  const file = await raw(PICTURE).png().toBuffer();
  const [head, end] = [file.subarray(0, HEAD), file.subarray(-END)];
  return Buffer.concat([head, ...chunks, file.subarray(HEAD, -END), ...last, end]);
}

test('texts are dropped before and after the pixels, and nothing else changes', async () => {
  const compressed = pngChunk('zTXt', named('Comment', zeros(50_000_000)));
  const international = Buffer.concat([Buffer.from('XML:com.adobe.xmp\0\x01\0\0\0', 'latin1'), zeros(1000)]);
  const texts = [compressed, pngChunk('iTXt', international), pngChunk('tEXt', Buffer.from('Title\0a'))];
  const gamma = pngChunk('gAMA', Buffer.from([0, 0, 0xb1, 0x8f]));
  const file = await png([texts[0], gamma, texts[1]], texts);
  expect(sourceOf(file, 'image').file).toEqual(await png([gamma]));
  const read = await decodePicture(file, 'image', LIMITS);
  expect(Buffer.compare(read.data, PICTURE.data)).toBe(0);
  expect(read.carried?.colour).toMatchObject([{ type: 'gAMA' }]);
});

test('a file without texts is not copied', async () => {
  const file = await png([]);
  expect(sourceOf(file, 'image').file).toBe(file);
});

test('a PNG whose last chunk does not end is as incomplete as it was', async () => {
  const file = (await png([], [pngChunk('zTXt', named('Comment', zeros(1000)))])).subarray(0, -END - 8);
  expect(sourceOf(file, 'image').file).toBe(file);
});

test('a profile that inflates to more than 4 MB is refused', async () => {
  const { file } = sourceOf(await png([profile(zeros(4_000_000))]), 'image');
  expect(file.includes('iCCP')).toBe(true);
  const bomb = profile(zeros(4_000_001));
  await expect(decodePicture(await png([bomb]), 'image', LIMITS)).rejects.toMatchObject({
    name: 'PictureError',
    field: 'image',
    code: 'too-large',
    message: expect.stringMatching(/profile of more than 4 MB/),
  });
  const damaged = profile(Buffer.concat([zeros(8_000_000).subarray(0, -100), Buffer.alloc(100, 0xff)]));
  await expect(decodePicture(await png([damaged]), 'image', LIMITS)).rejects.toMatchObject({
    code: 'too-large',
  });
});

test('of several profiles, the first one counts', async () => {
  const icc = await p3Profile();
  const file = await png([profile(deflateSync(icc)), profile(zeros(50_000_000))]);
  expect(Buffer.from((await decodePicture(file, 'image', LIMITS)).icc ?? [])).toEqual(icc);
});

test.each([
  ['gAMA', [0, 0, 0, 1], [0, 0, 0, 2]],
  ['PLTE', [1, 2, 3], [4, 5, 6]],
])('of chunks that a PNG has once at most, the first counts: %s', async (type, first, other) => {
  const [right, wrong] = [first, other].map((data) => pngChunk(type, Buffer.from(data)));
  const file = await png([right, wrong, right], [wrong]);
  expect(sourceOf(file, 'image').file).toEqual(await png([right]));
});

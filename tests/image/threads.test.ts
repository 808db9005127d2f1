import { expect, test } from 'vitest';
import { pictureBudget } from '../../src/image/budget.ts';
import { tasks } from '../../src/image/tasks.ts';
import { composite, decodePicture, inspect } from '../../src/image/threads.ts';
import { maskOf, noise, raw } from './make.ts';

const LIMITS = { maxPixels: 1e6, maxSide: 4096, timeoutMs: 60_000 };

/** 100 x 100 is processed in this thread, 129 x 129 in another one. */
const SIDES = [100, 129];

test.each(SIDES)('%i px give what the image functions give', async (side) => {
  const file = await raw(noise(side, side, 3))
    .png({ compressionLevel: 0 })
    .toBuffer();
  const encoded = await inspect(file, 'image', LIMITS);
  const picture = await decodePicture(encoded, pictureBudget.reserve(1e6));
  const expected = await tasks.decodePicture(file, 'image', LIMITS);
  expect(Buffer.from(picture.data).equals(Buffer.from(expected.data))).toBe(true);
  const hole = { width: side, height: side, data: new Uint8Array(side * side).fill(255, 0, side) };
  const box = { left: 0, top: 0, width: side, height: side };
  const black = { width: 1, height: 1, x0: new Float32Array(3).fill(-1), box };
  const filled = await composite(picture, hole, [black], { maskBlur: 0 });
  expect(filled.data[0]).toBe(0);
  expect(filled.data.subarray(3 * side)).toEqual(picture.data.subarray(3 * side));
});

test.each(SIDES)('fills of %i px are not copied to the thread: their memory moves', async (side) => {
  const picture = noise(side, side, 3);
  const hole = maskOf(side, side, (x) => x < 2);
  const box = { left: 0, top: 0, width: side, height: side };
  const fill = { width: side, height: side, x0: new Float32Array(3 * side * side), box };
  const filled = await composite(picture, hole, [fill], { maskBlur: 0 });
  expect(fill.x0.length).toBe(side > 128 ? 0 : 3 * side * side);
  expect(filled.data[0]).toBe(128);
});

test.each(SIDES)('a damaged file of %i px is refused by name', async (side) => {
  const file = await raw(noise(side, side, 3))
    .png()
    .toBuffer();
  const encoded = await inspect(file, 'image', LIMITS);
  const cut = { ...encoded, bytes: file.subarray(0, file.length / 2) };
  await expect(decodePicture(cut, pictureBudget.reserve(1e6))).rejects.toMatchObject({
    name: 'PictureError',
    field: 'image',
    code: 'unreadable',
  });
});

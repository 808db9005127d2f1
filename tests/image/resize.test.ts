import { expect, test } from 'vitest';
import { resizeRgb } from '../../src/image/resize.ts';
import { noise } from './make.ts';

/** The part's rows of a whole result. */
function cut(whole: Uint8Array, width: number, part: typeof PART): number[] {
  const found: number[] = [];
  for (let y = part.top; y < part.top + part.height; y++) {
    const from = (y * width + part.left) * 3;
    found.push(...whole.subarray(from, from + part.width * 3));
  }
  return found;
}

const PART = { left: 7, top: 11, width: 23, height: 17 };

test.each([
  [64, 200, 150],
  [64, 64, 64],
  [300, 64, 40],
])('a part of a picture resized from %i to %i x %i is that part of the whole', async (side, width, height) => {
  const { data } = noise(side, side, 3);
  const [from, to] = [
    { width: side, height: side },
    { width, height },
  ];
  const whole = await resizeRgb(data, from, to);
  expect([...(await resizeRgb(data, from, to, PART))]).toEqual(cut(whole, width, PART));
});

import { describe, expect, test } from 'vitest';
import type { Mask, Picture } from '../../../src/image/picture.ts';
import { levelPixels } from '../../../src/image/regions/level.ts';
import { maskOf, noise } from '../make.ts';

const WINDOW = 64;

/** What a pixel of a level must be, from its definition: undefined in the hole. */
function meanOf(picture: Picture, mask: Mask, level: number, x: number, y: number): number[] | undefined {
  const sums = [0, 0, 0];
  let count = 0;
  for (let j = y << level; j < Math.min((y + 1) << level, picture.height); j++) {
    for (let i = x << level; i < Math.min((x + 1) << level, picture.width); i++, count++) {
      const p = j * picture.width + i;
      if (mask.data[p] !== 0) return undefined;
      for (let c = 0; c < 3; c++) sums[c] += picture.data[p * picture.channels + c];
    }
  }
  return sums.map((sum) => sum / count / 127.5 - 1);
}

function expectMeans(
  picture: Picture,
  mask: Mask,
  level: number,
  canvas: { left: number; top: number; width: number; height: number },
  columnOf = (x: number) => x,
) {
  const found = levelPixels(picture, mask, { level, canvas });
  const plane = canvas.width * canvas.height;
  let [known, hole] = [0, 0];
  for (let y = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++) {
      const at = y * canvas.width + x;
      const mean = meanOf(picture, mask, level, canvas.left + columnOf(x), canvas.top + y);
      expect(found.mask[at]).toBe(mean ? 0 : 1);
      for (let c = 0; c < 3; c++) expect(found.x0[c * plane + at]).toBeCloseTo(mean?.[c] ?? 0, 5);
      if (mean) known++;
      else hole++;
    }
  }
  expect(found.holePixels).toBe(hole);
  expect(Math.min(known, hole)).toBeGreaterThan(100);
}

describe('the pixels of a level', () => {
  test.each([
    [0, 3],
    [1, 3],
    [2, 4],
    [3, 4],
  ] as const)('are means of the known pixels at level %i, of %i channels', (level, channels) => {
    const unit = 2 ** level;
    // Neither side is a multiple of the level's unit: the last pixels cover fewer of the picture's.
    const picture = noise(70 * unit - (unit >> 1), 80 * unit - (unit >> 1), channels);
    const isHole = (x: number, y: number) =>
      x > 20 * unit && x < 50 * unit + 1 && y > 30 * unit && y < 45 * unit;
    const mask = maskOf(picture.width, picture.height, isHole);
    expectMeans(picture, mask, level, { left: 5, top: 16, width: 65, height: WINDOW });
  });

  test.each([1, 2])('beyond the edge of a narrow picture are mirrored at level %i', (level) => {
    const unit = 2 ** level;
    const picture = noise(20 * unit, 70 * unit, 3);
    const mask = maskOf(picture.width, picture.height, (x, y) => x < 5 * unit && y > 10 * unit);
    const mirrored = (x: number) => (x % 40 < 20 ? x % 40 : 39 - (x % 40));
    expectMeans(picture, mask, level, { left: 0, top: 3, width: WINDOW, height: WINDOW }, mirrored);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodePicture } from '../../src/image/decode.ts';
import { encodePicture } from '../../src/image/encode.ts';
import type { Mask, Picture } from '../../src/image/picture.ts';
import { composited, LIMITS, maskOf, noise, plain, scene, withOtherHole } from './make.ts';

/** The indices of bytes outside the hole that differ. */
function changesOutside(before: Picture, after: Picture, mask: Mask): number {
  expect([after.width, after.height, after.channels]).toEqual([before.width, before.height, before.channels]);
  expect(after.data.length).toBe(before.data.length);
  let changes = 0;
  for (let i = 0; i < before.data.length; i++) {
    if (before.data[i] !== after.data[i] && mask.data[Math.floor(i / before.channels)] === 0) changes++;
  }
  return changes;
}

const whole = ({ width, height }: Picture) => ({ left: 0, top: 0, width, height });

describe('outside the hole', () => {
  test('no byte changes, through composite, encoding and decoding', async () => {
    // Encoding noise as lossless WebP takes far longer than as PNG, so there are fewer cases of it.
    const formats = fc.oneof(
      { weight: 5, arbitrary: fc.constant({ format: 'png' as const }) },
      { weight: 1, arbitrary: fc.constant({ format: 'webp' as const, quality: 100 }) },
    );
    await fc.assert(
      fc.asyncProperty(
        scene,
        fc.integer({ min: 0, max: 20 }),
        formats,
        async ({ picture, mask, box }, maskBlur, format) => {
          const before = new Uint8Array(picture.data);
          const after = await composited(picture, mask, noise(32, 32, 3, 9), box, { maskBlur });
          expect(Buffer.compare(picture.data, before)).toBe(0);
          expect(changesOutside(picture, after, mask)).toBe(0);
          const sent = await decodePicture(await encodePicture(after, format), 'image', LIMITS);
          // WebP drops an alpha channel that is fully opaque.
          if (sent.channels === after.channels) expect(changesOutside(picture, sent, mask)).toBe(0);
          else expect(after.data.every((value, i) => i % 4 !== 3 || value === 255)).toBe(true);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('no byte changes in a picture of 4000 x 3000', async () => {
    const picture = noise(4000, 3000, 3);
    const mask = maskOf(4000, 3000, (x, y) => (x - 2000) ** 2 + (y - 1500) ** 2 < 600 ** 2);
    const box = { left: 1300, top: 800, width: 1400, height: 1400 };
    const after = await composited(picture, mask, noise(64, 64, 3, 9), box, { maskBlur: 8 });
    const sent = await decodePicture(await encodePicture(after, { format: 'png' }), 'image', LIMITS);
    expect(changesOutside(picture, sent, mask)).toBe(0);
    expect(Buffer.compare(sent.data, after.data)).toBe(0);
  });
});

test('with keepAlpha, transparency stays as it is, in 16 bits too', async () => {
  const picture = plain(8, 8, [100, 100, 100, 0x12]);
  const numbers = Uint16Array.from({ length: 8 * 8 * 4 }, (_, i) => (i % 4 === 3 ? 0x1234 : 100 * 257));
  const all = maskOf(8, 8, () => true);
  const pixel = async (keepAlpha: boolean) => {
    const deep = { ...picture, data16: numbers };
    const after = await composited(deep, all, plain(8, 8, [10, 20, 30]), whole(picture), {
      maskBlur: 0,
      keepAlpha,
    });
    return [...(after.data16 ?? new Uint16Array()).subarray(0, 4)];
  };
  expect(await pixel(true)).toEqual([10 * 257, 20 * 257, 30 * 257, 0x1234]);
  expect(await pixel(false)).toEqual([10 * 257, 20 * 257, 30 * 257, 65_535]);
});

describe('a soft mask', () => {
  /** A column of weights: 0 known, 255 filled, and a ramp between them. */
  const ramp = (x: number) => Math.max(0, Math.min(255, (x - 20) * 16));
  const soft: Mask = {
    ...maskOf(64, 16, (x) => ramp(x) > 0),
    weights: Uint8Array.from({ length: 64 * 16 }, (_, p) => ramp(p % 64)),
  };

  test('blends the fill with the surroundings of the hole, not with its old content', async () => {
    const known = plain(64, 16, [100, 100, 100]);
    const picture = withOtherHole(known, soft, 7); // the old content is noise
    const after = await composited(picture, soft, plain(8, 8, [200, 200, 200]), whole(picture), {
      maskBlur: 0,
    });
    expect(changesOutside(picture, after, soft)).toBe(0);
    for (let x = 21; x < 64; x++) {
      const expected = 100 + (100 * ramp(x)) / 255;
      expect(Math.abs(after.data[(8 * 64 + x) * 3] - expected)).toBeLessThanOrEqual(x < 37 ? 26 : 1);
    }
    for (let x = 22; x < 64; x++)
      expect(after.data[(8 * 64 + x) * 3]).toBeGreaterThanOrEqual(after.data[(8 * 64 + x - 1) * 3]);
  });

  const grey: Mask = { ...maskOf(200, 200, (x) => x >= 10), weights: new Uint8Array(200 * 200).fill(128) };
  /** The fill's share at `depth` pixels from the nearest known one, in a row of a hole whose weights are all 128. */
  const shares = async (maskBlur: number) => {
    const black = plain(200, 200, [0, 0, 0]);
    const { data } = await composited(black, grey, plain(8, 8, [200, 200, 200]), whole(black), { maskBlur });
    return (depth: number) => data[(100 * 200 + 9 + depth) * 3] / 200;
  };

  test('a weight counts near the edge alone: deep inside the hole the fill is complete', async () => {
    const share = await shares(0);
    expect(share(3)).toBeLessThan(0.7);
    expect(share(91)).toBe(1);
  });

  test('with maskBlur, the smaller of its weight and of the mask’s counts', async () => {
    const share = await shares(9);
    for (let depth = 1; depth <= 91; depth++) {
      const expected = Math.min(1, depth / 10, Math.max(128 / 255, depth / 64));
      expect(Math.abs(share(depth) - expected), `depth ${depth}`).toBeLessThanOrEqual(0.5 / 200);
    }
  });
});

describe('inside the hole', () => {
  test('pixels come from the fill and are opaque', async () => {
    const picture = noise(40, 30, 4);
    const mask = maskOf(40, 30, (x, y) => x > 10 && x < 20 && y > 5 && y < 25);
    const after = await composited(picture, mask, plain(16, 16, [10, 200, 30]), whole(picture), {
      maskBlur: 0,
    });
    for (let p = 0; p < mask.data.length; p++) {
      if (mask.data[p] === 255)
        expect([...after.data.subarray(p * 4, p * 4 + 4)]).toEqual([10, 200, 30, 255]);
    }
  });

  test('a fill of the same size as the box is copied exactly to its position', async () => {
    const picture = noise(40, 30, 3);
    const box = { left: -3, top: 4, width: 20, height: 20 };
    const filled = noise(20, 20, 4, 77);
    const mask = maskOf(40, 30, (x, y) => x < 17 && y >= 4 && y < 24);
    const after = await composited(picture, mask, filled, box, { maskBlur: 0 });
    for (let y = 4; y < 24; y++) {
      for (let x = 0; x < 17; x++) {
        const from = ((y - 4) * 20 + x + 3) * 4;
        const to = (y * 40 + x) * 3;
        expect([...after.data.subarray(to, to + 3)]).toEqual([...filled.data.subarray(from, from + 3)]);
      }
    }
  });

  test('hole pixels outside the box stay unchanged', async () => {
    const picture = noise(40, 30, 3);
    const box = { left: 5, top: 5, width: 10, height: 10 };
    const after = await composited(
      picture,
      maskOf(40, 30, () => true),
      plain(8, 8, [1, 2, 3]),
      box,
      { maskBlur: 4 },
    );
    const outside = maskOf(40, 30, (x, y) => x >= 5 && x < 15 && y >= 5 && y < 15);
    expect(changesOutside(picture, after, outside)).toBe(0);
    expect([...after.data.subarray((9 * 40 + 9) * 3, (9 * 40 + 9) * 3 + 3)]).toEqual([1, 2, 3]);
  });

  test('the old content has no influence on the result', async () => {
    await fc.assert(
      fc.asyncProperty(
        scene,
        fc.integer({ min: 0, max: 20 }),
        fc.nat(),
        async ({ picture, mask }, maskBlur, seed) => {
          const filled = noise(32, 32, 3, 9);
          const other = withOtherHole(picture, mask, seed);
          const one = await composited(picture, mask, filled, whole(picture), { maskBlur });
          const two = await composited(other, mask, filled, whole(picture), { maskBlur });
          expect(Buffer.compare(one.data, two.data)).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('maskBlur', () => {
  const picture = plain(101, 61, [100, 100, 100]);
  const mask = maskOf(101, 61, (x, y) => x >= 20 && x < 80 && y >= 10 && y < 50);
  const row = async (maskBlur: number) => {
    const after = await composited(picture, mask, plain(8, 8, [200, 200, 200]), whole(picture), { maskBlur });
    return Array.from({ length: 101 }, (_, x) => after.data[(30 * 101 + x) * 3]);
  };

  test('0 is a hard edge', async () => {
    const values = await row(0);
    expect(values.slice(18, 22)).toEqual([100, 100, 200, 200]);
  });

  test('fades in linearly from the edge over maskBlur pixels', async () => {
    const values = await row(9);
    expect(values.slice(0, 20)).toEqual(new Array(20).fill(100));
    expect(values.slice(20, 31)).toEqual([110, 120, 130, 140, 150, 160, 170, 180, 190, 200, 200]);
    expect(values.slice(69, 81)).toEqual([200, 200, 190, 180, 170, 160, 150, 140, 130, 120, 110, 100]);
  });

  test('does not fade towards the border of the picture', async () => {
    const all = maskOf(30, 30, () => true);
    const after = await composited(
      plain(30, 30, [0, 0, 0]),
      all,
      plain(8, 8, [200, 200, 200]),
      { left: 0, top: 0, width: 30, height: 30 },
      { maskBlur: 9 },
    );
    expect(after.data.every((value) => value === 200)).toBe(true);
  });

  test('fades if the hole ends exactly at the edge of the box, but not if it continues beyond', async () => {
    const wide = plain(60, 20, [100, 100, 100]);
    const box = { left: 10, top: 0, width: 20, height: 20 };
    const band = maskOf(60, 20, (x) => x >= 10 && x < 50);
    const after = await composited(wide, band, plain(8, 8, [200, 200, 200]), box, { maskBlur: 1 });
    const values = Array.from({ length: 60 }, (_, x) => after.data[(10 * 60 + x) * 3]);
    expect(values.slice(9, 12)).toEqual([100, 150, 200]);
    expect(values.slice(28, 32)).toEqual([200, 200, 100, 100]);
  });
});

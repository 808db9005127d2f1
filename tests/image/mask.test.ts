import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { growMask } from '../../src/image/grow.ts';
import { assertSameSize, boundingBox, maskFraction, measureHole } from '../../src/image/mask.ts';
import { decodeMask, maskFromAlpha } from '../../src/image/mask-reading.ts';
import type { Picture } from '../../src/image/picture.ts';
import { LIMITS, maskOf, noise, plain, raw, scene } from './make.ts';

async function decoded(picture: Picture): Promise<number[]> {
  const mask = await decodeMask(await raw(picture).png().toBuffer(), 'mask', LIMITS);
  return [...mask.data];
}

/** A row of grey pixels. */
function greys(...values: number[]): Picture {
  const data = Uint8Array.from(values.flatMap((grey) => [grey, grey, grey]));
  return { width: values.length, height: 1, channels: 3, data };
}

describe('growMask', () => {
  const dot = maskOf(9, 9, (x, y) => x === 4 && y === 4);
  const shown = ({ data }: { data: Uint8Array }) =>
    data.reduce((count, value) => count + Number(value === 255), 0);

  test('grows the hole in every direction, and cuts it off at the picture’s edge', () => {
    const grown = growMask(dot, 2);
    for (const [x, y] of [
      [2, 4],
      [4, 6],
      [6, 4],
      [5, 5],
    ])
      expect(grown.data[y * 9 + x]).toBe(255);
    for (const [x, y] of [
      [1, 4],
      [7, 4],
      [6, 6],
    ])
      expect(grown.data[y * 9 + x]).toBe(0);
    expect(shown(growMask(dot, 256))).toBe(81);
  });

  test('shrinking undoes growing of a straight edge', () => {
    const half = maskOf(40, 20, (x) => x >= 20);
    expect(growMask(growMask(half, 5), -5).data).toEqual(half.data);
  });

  test('the picture’s edge does not shrink the hole', () => {
    expect(
      shown(
        growMask(
          maskOf(10, 10, (x) => x >= 4),
          -3,
        ),
      ),
    ).toBe(30);
  });

  test('a hole that vanishes is an error that names mask_grow', () => {
    expect(() => growMask(dot, -1)).toThrow(
      expect.objectContaining({ field: 'mask_grow', code: 'empty-mask' }),
    );
  });
});

describe('decodeMask', () => {
  test('a luminance of 128 is hole, 127 is not', async () => {
    expect(await decoded(greys(128, 0, 127))).toEqual([255, 0, 0]);
  });

  test('darker pixels that are connected to the hole are its soft edge: their luminance is the weight of the fill', async () => {
    const mask = await decodeMask(
      await raw(greys(0, 15, 16, 90, 200, 239, 240, 250, 255, 127, 0, 127))
        .png()
        .toBuffer(),
      'mask',
      LIMITS,
    );
    expect([...mask.data]).toEqual([0, 0, ...new Array(8).fill(255), 0, 0]);
    expect([...(mask.weights ?? [])]).toEqual([0, 0, 16, 90, 200, 239, 255, 255, 255, 127, 0, 0]);
  });

  test('a soft edge is followed around corners, and not along diagonals', async () => {
    const rows = [
      [200, 50, 50],
      [0, 0, 50],
      [50, 0, 50],
    ];
    const data = Uint8Array.from(rows.flat().flatMap((grey) => [grey, grey, grey]));
    expect(await decoded({ width: 3, height: 3, channels: 3, data })).toEqual([
      255, 255, 255, 0, 0, 255, 0, 0, 255,
    ]);
  });

  test('a soft edge ends 64 px from the hole', async () => {
    const { data } = await decodeMask(
      await raw(greys(200, ...new Array(100).fill(50)))
        .png()
        .toBuffer(),
      'mask',
      LIMITS,
    );
    expect(data.lastIndexOf(255)).toBe(64);
  });

  test('a mask of black and of white, from 240 on, has no weights', async () => {
    const weights = async (...values: number[]) =>
      (
        await decodeMask(
          await raw(greys(...values))
            .png()
            .toBuffer(),
          'mask',
          LIMITS,
        )
      ).weights;
    expect(await weights(0, 255, 240, 0)).toBeUndefined();
    expect(await weights(0, 255, 239, 0)).toBeDefined();
  });

  test('one-channel masks: grey values of 128 and more are hole', async () => {
    const ramp = greys(...Array.from({ length: 512 }, (_, i) => (i % 2 ? i >> 1 : 0)));
    const png = await raw(ramp).toColourspace('b-w').png().toBuffer();
    const mask = await decodeMask(png, 'mask', LIMITS);
    expect([...mask.data]).toEqual(Array.from({ length: 512 }, (_, i) => (i % 2 && i >> 1 >= 128 ? 255 : 0)));
  });

  test('colours are converted to luminance: green and yellow are hole, red and blue are not', async () => {
    const colours = Uint8Array.of(0, 255, 0, 255, 255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 255);
    expect(await decoded({ width: 5, height: 1, channels: 3, data: colours })).toEqual([255, 255, 0, 0, 0]);
  });

  test('red counts more than blue', async () => {
    const colours = Uint8Array.of(255, 108, 0, 0, 0, 0, 0, 108, 255); // luminance 131, 0 and 96
    expect(await decoded({ width: 3, height: 1, channels: 3, data: colours })).toEqual([255, 0, 0]);
  });

  test('transparent white is no hole, opaque white is', async () => {
    const white = Uint8Array.of(
      255,
      255,
      255,
      0,
      255,
      255,
      255,
      127,
      0,
      0,
      0,
      0,
      255,
      255,
      255,
      128,
      255,
      255,
      255,
      255,
    );
    expect(await decoded({ width: 5, height: 1, channels: 4, data: white })).toEqual([0, 0, 0, 255, 255]);
  });
});

describe('maskFromAlpha', () => {
  test('alpha below 128 is hole', () => {
    const data = Uint8Array.of(1, 2, 3, 0, 1, 2, 3, 127, 1, 2, 3, 128, 1, 2, 3, 255);
    expect([...maskFromAlpha({ width: 4, height: 1, channels: 4, data }).data]).toEqual([255, 255, 0, 0]);
  });
  test('a picture without alpha has no hole', () => {
    expect(maskFraction(maskFromAlpha(plain(5, 5, [0, 0, 0])))).toBe(0);
  });
});

test('assertSameSize reports both sizes', () => {
  const mask = maskOf(3, 4, () => true);
  expect(() => assertSameSize(noise(3, 4, 3), mask)).not.toThrow();
  expect(() => assertSameSize(noise(4, 3, 3), mask)).toThrow(
    expect.objectContaining({
      code: 'mismatch',
      field: 'mask',
      message: expect.stringMatching(/3 x 4.*4 x 3/),
    }),
  );
});

test('measureHole refuses a mask without hole pixels', () => {
  expect(() => measureHole(maskOf(9, 9, (x, y) => x === 8 && y === 8))).not.toThrow();
  expect(() => measureHole(maskOf(9, 9, () => false))).toThrow(
    expect.objectContaining({ code: 'empty-mask', field: 'mask' }),
  );
});

test('boundingBox and maskFraction match a straightforward implementation', () => {
  fc.assert(
    fc.property(scene, fc.boolean(), ({ mask, box }, everywhere) => {
      const within = everywhere ? { left: 0, top: 0, width: mask.width, height: mask.height } : box;
      const xs: number[] = [];
      const ys: number[] = [];
      let count = 0;
      for (let y = 0; y < mask.height; y++) {
        for (let x = 0; x < mask.width; x++) {
          if (mask.data[y * mask.width + x] === 0) continue;
          count++;
          if (x < within.left || x >= within.left + within.width) continue;
          if (y < within.top || y >= within.top + within.height) continue;
          xs.push(x);
          ys.push(y);
        }
      }
      const bounds = boundingBox(mask, everywhere ? undefined : box);
      expect(maskFraction(mask)).toBeCloseTo(count / mask.data.length, 10);
      if (xs.length === 0) {
        expect(bounds).toBeUndefined();
        return;
      }
      const low = (values: number[]) => values.reduce((a, b) => Math.min(a, b));
      const high = (values: number[]) => values.reduce((a, b) => Math.max(a, b));
      expect(bounds).toEqual({
        left: low(xs),
        top: low(ys),
        width: high(xs) - low(xs) + 1,
        height: high(ys) - low(ys) + 1,
      });
    }),
    { numRuns: 60 },
  );
});

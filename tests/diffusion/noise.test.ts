import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  gaussian,
  gaussianPixel,
  type NoiseKey,
  type NoisePosition,
  philox,
} from '../../src/diffusion/noise.ts';

function words(...counterAndKey: [number, number, number, number, number, number]): string[] {
  const out = new Uint32Array(4);
  philox(...counterAndKey, out);
  return [...out].map((word) => word.toString(16).padStart(8, '0'));
}

test('philox matches the known answers of Random123', () => {
  expect(words(0, 0, 0, 0, 0, 0)).toEqual(['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']);
  const ones = 0xffffffff;
  expect(words(ones, ones, ones, ones, ones, ones)).toEqual(['408f276d', '41c83b0e', 'a20bc7c6', '6d5451fd']);
  expect(words(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0)).toEqual([
    'd16cfe09',
    '94fdcceb',
    '5001e420',
    '24126ea1',
  ]);
});

test('gaussian noise is standard normal', () => {
  const n = 200_000;
  const z = gaussian({ seed: 7, candidate: 0, step: 0 }, n);
  const moment = (power: number) => z.reduce((sum, x) => sum + x ** power, 0) / n;
  // Tolerance: five standard errors of each moment.
  expect(Math.abs(moment(1))).toBeLessThan(5 / Math.sqrt(n));
  expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
  expect(Math.abs(moment(3))).toBeLessThan(5 * Math.sqrt(15 / n));
  expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
});

test('a draw depends only on its key, and a shorter draw is a prefix of a longer one', () => {
  const key = fc.record({
    seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    candidate: fc.integer({ min: 0, max: 7 }),
    step: fc.integer({ min: 0, max: 1000 }),
  });
  fc.assert(
    fc.property(key, key, fc.integer({ min: 1, max: 50 }), (a, b, length) => {
      const first = gaussian(a, length);
      const other = gaussian(b, length);
      expect(gaussian(a, length)).toEqual(first);
      expect(gaussian(a, length + 9).subarray(0, length)).toEqual(first);
      const same = a.seed === b.seed && a.candidate === b.candidate && a.step === b.step;
      expect(other[0] === first[0]).toBe(same);
    }),
  );
});

test('draws of different seeds, candidates and steps are uncorrelated', () => {
  const n = 50_000;
  const base = gaussian({ seed: 1, candidate: 0, step: 0 }, n);
  for (const key of [
    { seed: 2, candidate: 0, step: 0 },
    { seed: 1, candidate: 1, step: 0 },
    { seed: 1, candidate: 0, step: 1 },
  ]) {
    const other = gaussian(key, n);
    const correlation = base.reduce((sum, x, i) => sum + x * other[i], 0) / n;
    expect(Math.abs(correlation)).toBeLessThan(5 / Math.sqrt(n));
  }
});

test('the noise of a pixel changes in all channels with its place, level, seed, candidate and step', () => {
  const pixel = fc.record({
    seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    candidate: fc.integer({ min: 0, max: 7 }),
    step: fc.integer({ min: 0, max: 2 ** 20 }),
    x: fc.integer({ min: 0, max: 65_535 }),
    y: fc.integer({ min: 0, max: 65_535 }),
    level: fc.integer({ min: 0, max: 12 }),
  });
  const noiseOf = (at: NoiseKey & NoisePosition) => {
    const out = new Float64Array(4);
    gaussianPixel(at, at, out);
    return [...out.subarray(0, 3)];
  };
  fc.assert(
    fc.property(pixel, (at) => {
      const noise = noiseOf(at);
      expect(noiseOf({ ...at })).toEqual(noise);
      for (const name of ['seed', 'candidate', 'step', 'x', 'y', 'level'] as const) {
        const other = noiseOf({ ...at, [name]: at[name] === 0 ? 1 : at[name] - 1 });
        for (let c = 0; c < 3; c++) expect(other[c], `${name}, channel ${c}`).not.toBe(noise[c]);
      }
    }),
  );
});

test('the noise of pixels is uncorrelated with that of whole pictures, and its channels with each other', () => {
  const n = 20_000;
  const key = { seed: 1, candidate: 0, step: 0 };
  const whole = gaussian(key, 4 * n);
  const pixel = new Float64Array(4);
  const products = new Float64Array(4);
  for (let x = 0; x < n; x++) {
    gaussianPixel(key, { x, y: 0, level: 0 }, pixel);
    for (let c = 0; c < 3; c++) products[c] += pixel[c] * whole[4 * x + c];
    products[3] += pixel[0] * pixel[1];
  }
  for (const product of products) expect(Math.abs(product / n)).toBeLessThan(5 / Math.sqrt(n));
});

import { expect, test } from 'vitest';
import { sharpened, sharpening } from '../../src/generation/trajectories/sharpen.ts';

test('an unsharp mask adds a share of the difference from the 3 x 3 mean, and repeats the edge', () => {
  const x0 = new Float32Array(3 * 3);
  x0.set([0, 0.9, 0]);
  const { x0: found } = sharpened({ level: 0, left: 0, top: 0, width: 3, height: 1, x0 }, 0.1);
  // Means: rows repeat, so those of [0, 0, 0.9], [0, 0.9, 0] and [0.9, 0, 0] are 0.3 each.
  for (const [i, value] of [-0.03, 0.96, -0.03].entries()) expect(found[i]).toBeCloseTo(value, 6);
  x0.fill(1).set([1, -1, 1]);
  const clipped = sharpened({ level: 0, left: 0, top: 0, width: 3, height: 1, x0 }, 2).x0;
  expect([...clipped]).toEqual([1, -1, 1, 1, 1, 1, 1, 1, 1]);
});

const SIDE = 16;

/** A checkerboard in grey whose Laplacian is 8 `known` in the left half, and 8 `fill` in the right half, which is the hole. */
function halves(known: number, fill: number) {
  const x0 = Float32Array.from({ length: 3 * SIDE * SIDE }, (_, i) => {
    const [x, y] = [i % SIDE, Math.floor(i / SIDE) % SIDE];
    return ((x + y) % 2 ? 1 : -1) * (x < SIDE / 2 ? known : fill);
  });
  const mask = Float32Array.from({ length: SIDE * SIDE }, (_, p) => (p % SIDE < SIDE / 2 ? 0 : 1));
  return { canvas: { level: 0, left: 0, top: 0, width: SIDE, height: SIDE, x0 }, mask };
}

const amount = (known: number, fill: number, typical = 0.3) => {
  const { canvas, mask } = halves(known, fill);
  return sharpening(canvas, mask, typical);
};

test('a fill is sharpened by the typical amount plus the log of how much softer it is than the known pixels', () => {
  expect(amount(0.5, 0.5)).toBeCloseTo(0.3, 6);
  expect(amount(0.8, 0.5)).toBeCloseTo(0.3 + Math.log(1.6), 4);
  expect(amount(0.5, 0.6)).toBeCloseTo(0.3 - Math.log(1.2), 4);
});

test('the amount is bounded, and noise of rounding in flat pictures hardly changes it', () => {
  expect(amount(0.9, 0.1)).toBe(1.2);
  expect(amount(0.1, 0.9)).toBe(0);
  // Laplacians of 8 x 0.0005, about that of rounding to 8 bits.
  expect(amount(0.0005, 0.0001)).toBeLessThan(0.4);
});

test('a hole without an interior gets the typical amount, as does a picture that is all hole', () => {
  const { canvas } = halves(0.8, 0.1);
  const thin = Float32Array.from({ length: SIDE * SIDE }, (_, p) => (p % SIDE === 9 ? 1 : 0));
  expect(sharpening(canvas, thin, 0.3)).toBe(0.3);
  expect(sharpening(canvas, new Float32Array(SIDE * SIDE).fill(1), 0.3)).toBe(0.3);
});

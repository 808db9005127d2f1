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

const amount = (known: number, fill: number, atEqual = 0.3) => {
  const { canvas, mask } = halves(known, fill);
  return sharpening(canvas, mask, atEqual);
};

test('the amount grows with the log of how much softer the fill is than the known pixels', () => {
  expect(amount(0.5, 0.5)).toBeCloseTo(0.3, 6);
  expect(amount(0.8, 0.5)).toBeCloseTo(0.3 + Math.log(1.6), 4);
  expect(amount(0.5, 0.6)).toBeCloseTo(0.3 - Math.log(1.2), 4);
});

test('the amount is bounded, and noise of rounding in flat pictures hardly changes it', () => {
  expect(amount(0.9, 0.1)).toBe(1.2);
  expect(amount(0.1, 0.9)).toBe(0);
  // The mean squares are 3 (8 x 0.0005)^2 and 3 (8 x 0.0001)^2, less than the floor of 3.1e-4.
  expect(amount(0.0005, 0.0001)).toBeCloseTo(0.3 + Math.log((4.8e-5 + 3.1e-4) / (1.92e-6 + 3.1e-4)) / 2, 6);
});

test('without 16 pixels of either kind the amount does not depend on the pixels', () => {
  const { canvas } = halves(0.8, 0.1);
  const at = (isHole: (x: number, y: number) => boolean) => {
    const mask = Float32Array.from({ length: SIDE * SIDE }, (_, p) =>
      Number(isHole(p % SIDE, Math.floor(p / SIDE))),
    );
    return sharpening(canvas, mask, 0.3);
  };
  expect(at((x) => x === 9)).toBe(0.3);
  expect(at(() => true)).toBe(0.3);
  expect(at((x, y) => x >= 9 && x < 14 && y >= 2 && y < 9)).toBe(0.3); // 3 x 5 pixels in the interior
  expect(at((x, y) => x >= 9 && x < 15 && y >= 2 && y < 8)).toBe(1.2); // 4 x 4
  const all = new Float32Array(SIDE * SIDE).fill(1);
  expect(sharpening(canvas, all, 2)).toBe(1.2);
});

test('all three channels and both directions count', () => {
  const { canvas, mask } = halves(0, 0);
  const set = (of: (x: number, y: number, c: number) => number) => {
    canvas.x0.forEach((_, i) => {
      canvas.x0[i] = of(i % SIDE, Math.floor(i / SIDE) % SIDE, Math.floor(i / SIDE / SIDE));
    });
    return sharpening(canvas, mask, 0.3);
  };
  // Stripes in one channel: in the hole the Laplacian is 0.8 times that outside it.
  for (const channel of [0, 1, 2]) {
    for (const along of [0, 1]) {
      const found = set((x, y, c) =>
        c === channel ? ([x, y][along] % 2 ? 0.25 : -0.25) * (x < SIDE / 2 ? 1 : 0.8) : 0,
      );
      expect(found).toBeCloseTo(0.3 - Math.log(0.8), 1);
    }
  }
});

import { expect, test } from 'vitest';
import type { Canvas } from '../../src/generation/trajectories/enlarge.ts';
import { noisyShown, Shrinker, shrunk } from '../../src/generation/trajectories/shown.ts';

/** A canvas at (8, 16) of level 1, with a value of its own in each pixel and channel. */
function canvasOf(width: number, height: number): Canvas {
  const x0 = Float32Array.from({ length: 3 * width * height }, (_, i) => Math.sin(i));
  return { left: 8, top: 16, width, height, level: 1, x0 };
}

test('a canvas of at most 512 px is shown as it is', () => {
  const { x0, ...canvas } = canvasOf(512, 3);
  expect(shrunk({ ...canvas, x0 })).toEqual({ canvas, width: 512, height: 3, x0 });
});

test('in a larger one, each pixel is the mean of a block; blocks at the edges are smaller', () => {
  const { x0, ...canvas } = canvasOf(1027, 5); // in blocks of 3 x 3
  const shown = shrunk({ ...canvas, x0 });
  expect(shown).toMatchObject({ canvas, width: 343, height: 2 });
  const mean = (c: number, left: number, top: number, right: number, bottom: number) => {
    let [sum, count] = [0, 0];
    for (let y = top; y < bottom; y++)
      for (let x = left; x < right; x++, count++) sum += x0[(c * 5 + y) * 1027 + x];
    return sum / count;
  };
  for (let c = 0; c < 3; c++) {
    expect(shown.x0[c * 686]).toBeCloseTo(mean(c, 0, 0, 3, 3), 5);
    expect(shown.x0[c * 686 + 343 + 7]).toBeCloseTo(mean(c, 21, 3, 24, 5), 5);
    expect(shown.x0[c * 686 + 685]).toBeCloseTo(mean(c, 1026, 3, 1027, 5), 5);
  }
});

test('pixels that change are shown as they are now', () => {
  const canvas = canvasOf(600, 600);
  const changing = Int32Array.from({ length: 5000 }, (_, i) => 7 * i);
  const shrinker = new Shrinker(canvas, changing);
  for (const value of [0.5, -0.25]) {
    const filled = canvas.x0.slice();
    for (let c = 0; c < 3; c++) for (const at of changing) filled[c * 360_000 + at] = value + c / 10;
    const values = Float32Array.from({ length: 15_000 }, (_, i) => value + Math.floor(i / 5000) / 10);
    const [found, expected] = [shrinker.shown(values), shrunk({ ...canvas, x0: filled })];
    expect(found.canvas).toEqual(expected.canvas);
    const differences = found.x0.map((x, i) => Math.abs(x - expected.x0[i]));
    expect(differences.reduce((a, b) => Math.max(a, b))).toBeLessThan(1e-5);
  }
});

test('noise is shown in full, or not at all', () => {
  const { x0, ...canvas } = canvasOf(256, 256);
  expect(noisyShown({ ...canvas, x0 })).toEqual({ canvas, width: 256, height: 256, x0 });
  expect(noisyShown(canvasOf(257, 256))).toBeUndefined();
});

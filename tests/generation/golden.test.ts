import { expect, test } from 'vitest';
import { gaussian, gaussianPixel } from '../../src/diffusion/noise.ts';
import { loadOnnx } from '../../src/engine/onnx.ts';
import { denoiseExample, golden, goldenExample, goldenRun } from '../helpers/golden.ts';
import { openRealRegistry, realModelSpec } from '../helpers/model.ts';

/** Values are in -1..1, where a level of 255 is 7.8e-3. The largest difference that was measured is 2e-6. */
const TOLERANCE = 5e-5;

test('the vectors are of the newest model (else run training/vectors_golden.py)', async () => {
  expect(golden.model).toBe((await openRealRegistry()).get().ref);
});

test("the noise of a key is what training's Philox draws for it", () => {
  for (const { seed, candidate, step, z } of golden.noise) {
    const found = gaussian({ seed, candidate, step }, z.length);
    for (const [i, value] of z.entries()) expect(Math.abs(found[i] - value)).toBeLessThan(1e-6);
  }
});

test('and so is the noise of a pixel of a window', () => {
  const found = new Float64Array(4);
  for (const { z, ...pixel } of golden.pixels) {
    gaussianPixel(pixel, pixel, found);
    for (const [c, value] of z.entries()) expect(Math.abs(found[c] - value)).toBeLessThan(1e-6);
  }
});

test('from the same seed a hole is filled as PyTorch fills it, before compositing', async () => {
  const spec = await realModelSpec();
  const filled = await denoiseExample(await loadOnnx(spec));
  expect(filled.length).toBe(goldenRun.length);
  const differences = filled.map((value, i) => Math.abs(value - goldenRun[i]));
  expect(Math.max(...differences)).toBeLessThan(TOLERANCE);

  // Known pixels come back bit for bit: they are bytes / 127.5 - 1 on both sides.
  const { mask } = await goldenExample(spec.networks.base.resolution);
  expect([...new Set(mask)].sort()).toEqual([0, 1]);
  expect(Math.max(...differences.filter((_, i) => mask[i % mask.length] === 0))).toBe(0);
});

import { expect, test, vi } from 'vitest';
import { createTrajectory } from '../../src/generation/trajectories/create.ts';
import { tensorToPicture } from '../../src/image/region.ts';
import { type FillParameters, fill, holed } from '../helpers/holed.ts';
import { FakeRegistry } from '../http/fake-app.ts';
import { maskOf, noise } from '../image/make.ts';

// What passes over a canvas. Worker threads load modules of their own: only calls on this thread, the main one, are counted.
vi.mock('../../src/image/region.ts', { spy: true });
vi.mock('../../src/generation/trajectories/create.ts', { spy: true });

const PARAMETERS: FillParameters = {
  seed: 1,
  numImages: 2,
  sampler: 'ddim',
  steps: 2,
  eta: 0,
  strategy: 'auto',
  maskBlur: 0,
};

test.each([
  ['a scratch across a picture of 300 x 300 is filled without', 300, 0],
  ['in a picture of 60 x 60, where a thread would cost more, with', 60, 2],
])('%s passes over its canvas on the main thread', async (_, side, passes) => {
  vi.clearAllMocks();
  const input = holed(
    noise(side, side, 3),
    maskOf(side, side, (x, y) => x === y),
  );
  const { pictures, region } = await fill(new FakeRegistry().get(), input, PARAMETERS);
  expect(region).toMatchObject({
    plan: { regions: [{ levels: [{ canvas: { width: side, height: side } }] }] },
  });
  const changed = (p: number) =>
    !Buffer.from(pictures[0].data.subarray(3 * p, 3 * p + 3)).equals(
      input.picture.data.subarray(3 * p, 3 * p + 3),
    );
  for (const p of [0, side ** 2 - 1]) expect(changed(p)).toBe(true); // both ends of the scratch
  expect(vi.mocked(createTrajectory)).toHaveBeenCalledTimes(passes);
  expect(vi.mocked(tensorToPicture)).toHaveBeenCalledTimes(passes);
});

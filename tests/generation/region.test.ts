import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chooseRegion, type RegionParameters, wholeRegion } from '../../src/generation/region.ts';
import { createTrajectory } from '../../src/generation/trajectories/create.ts';
import { specifyWhole } from '../../src/generation/whole.ts';
import { holed } from '../helpers/holed.ts';
import { FakeRegistry } from '../http/fake-app.ts';
import { maskOf, noise } from '../image/make.ts';

const R = 64;
const whole = (width: number, height: number) => ({ left: 0, top: 0, width, height });

test('auto uses the whole picture if it is small and nearly square, and a crop otherwise', () => {
  const hole = { left: 10, top: 10, width: 20, height: 10 };
  const auto = { strategy: 'auto' } as const;
  const choose = (width: number, height: number) => wholeRegion({ width, height }, hole, R, auto);
  expect(choose(64, 64)).toEqual({ strategy: 'resize', box: whole(64, 64) });
  expect(choose(178, 218)).toEqual({ strategy: 'resize', box: whole(178, 218) });
  expect(choose(4000, 3000).strategy).toBe('crop');
  expect(choose(250, 40).strategy).toBe('crop');
});

test('auto shows a picture whole up to 4 times the resolution, and up to 3:2', () => {
  const hole = { left: 10, top: 10, width: 20, height: 10 };
  const strategyOf = (width: number, height: number) =>
    wholeRegion({ width, height }, hole, R, { strategy: 'auto' }).strategy;
  expect([strategyOf(4 * R, 4 * R), strategyOf(4 * R + 1, 4 * R)]).toEqual(['resize', 'crop']);
  expect([strategyOf(4 * R, 3 * R), strategyOf(3 * R, 4 * R)]).toEqual(['resize', 'resize']);
  expect([strategyOf(150, 100), strategyOf(151, 100), strategyOf(100, 151)]).toEqual([
    'resize',
    'crop',
    'crop',
  ]);
});

test('a crop is never smaller than the resolution: the network is not shown an enlargement', () => {
  const hole = { left: 500, top: 400, width: 4, height: 2 };
  const { box } = wholeRegion({ width: 1000, height: 1000 }, hole, R, { strategy: 'crop', padding: 0 });
  expect(box).toEqual({ left: 470, top: 369, width: R, height: R });
});

test('the strategy asked for is the one taken', () => {
  const hole = { left: 0, top: 0, width: 5, height: 5 };
  expect(wholeRegion({ width: 4000, height: 40 }, hole, R, { strategy: 'resize' })).toEqual({
    strategy: 'resize',
    box: whole(4000, 40),
  });
  expect(wholeRegion({ width: 64, height: 64 }, hole, R, { strategy: 'crop' }).strategy).toBe('crop');
});

test('padding sets the context around the hole', () => {
  const hole = { left: 500, top: 400, width: 100, height: 60 };
  const size = { width: 1000, height: 1000 };
  const { box } = wholeRegion(size, hole, R, { strategy: 'crop', padding: 10 });
  expect(box).toEqual({ left: 490, top: 370, width: 120, height: 120 });
  const generous = wholeRegion(size, hole, R, { strategy: 'crop' }).box;
  expect(generous).toEqual({ left: 400, top: 280, width: 300, height: 300 });
});

test('a crop lies within the picture, contains the hole, and is square if the picture is large enough', () => {
  const span = fc.integer({ min: 1, max: 4000 });
  fc.assert(
    fc.property(
      span,
      span,
      fc.nat(),
      fc.nat(),
      fc.nat(),
      fc.nat(),
      fc.nat(300),
      (width, height, x, y, w, h, padding) => {
        const left = x % width;
        const top = y % height;
        const hole = { left, top, width: 1 + (w % (width - left)), height: 1 + (h % (height - top)) };
        const { box } = wholeRegion({ width, height }, hole, R, { strategy: 'crop', padding });
        expect(box.left).toBeGreaterThanOrEqual(0);
        expect(box.top).toBeGreaterThanOrEqual(0);
        expect(box.left + box.width).toBeLessThanOrEqual(width);
        expect(box.top + box.height).toBeLessThanOrEqual(height);
        expect(box.left).toBeLessThanOrEqual(hole.left);
        expect(box.top).toBeLessThanOrEqual(hole.top);
        expect(box.left + box.width).toBeGreaterThanOrEqual(hole.left + hole.width);
        expect(box.top + box.height).toBeGreaterThanOrEqual(hole.top + hole.height);
        const cut = box.width === width || box.height === height;
        if (!cut) expect(box.width).toBe(box.height);
      },
    ),
  );
});

test.each<[string, Pick<RegionParameters, 'strategy' | 'padding'>, boolean]>([
  ['a crop that is all hole', { strategy: 'crop', padding: 0 }, false],
  // 42 x 42 pixels become 8 x 8, each of which overlaps the hole.
  ['a crop with less context than a pixel of the model', { strategy: 'crop', padding: 1 }, false],
  ['a crop with context', { strategy: 'crop', padding: 20 }, true],
  ['the whole picture', { strategy: 'resize' }, true],
])('the evaluations of RePaint are those of its trajectory: %s', async (_, choice, resampled) => {
  const served = new FakeRegistry().get();
  const model = { ...served, card: { ...served.card, conditioning: 'none' as const } };
  const inHole = (at: number) => at >= 30 && at < 70;
  const input = holed(
    noise(100, 100, 3),
    maskOf(100, 100, (x, y) => inHole(x) && inHole(y)),
  );
  const parameters = { seed: 1, numImages: 1, sampler: 'ddim' as const, steps: 20, eta: 0 };
  const region = await chooseRegion(model, input, { ...choice, steps: 20 }, 50);
  if (region.strategy === 'windows') throw new Error('RePaint has no windows');
  const { specs } = await specifyWhole(model, input, region.box, parameters);
  expect(region.evaluations).toBe(createTrajectory(specs[0]).total);
  expect(region.evaluations).toBe(resampled ? 50 : 20);
});

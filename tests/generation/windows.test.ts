import { expect, test } from 'vitest';
import type { WindowedSpec } from '../../src/generation/trajectories/create.ts';
import { specifyWindows } from '../../src/generation/windows.ts';
import { measureHole } from '../../src/image/mask.ts';
import { planRegions } from '../../src/image/regions/plan.ts';
import type { ServedModel } from '../../src/registry/served-model.ts';
import { refinerSection } from '../helpers/refiner.ts';
import { FakeRegistry } from '../http/fake-app.ts';
import { maskOf, plain } from '../image/make.ts';

test.each([
  [
    ['base', 'refiner'],
    ['base', 'refiner', 'refiner', 'refiner'],
  ],
  [['base'], ['base']],
] as const)('an engine that serves %j fills by %j, whatever was planned', async (networks, expected) => {
  const fake = new FakeRegistry().get();
  const card = { ...fake.card, refiner: refinerSection() } as ServedModel['card'];
  const model: ServedModel = { ...fake, card, networks, open: fake.open };
  const mask = maskOf(64, 64, (x, y) => x >= 20 && x < 38 && y >= 20 && y < 38);
  const plan = planRegions(mask, measureHole(mask).box, {
    base: { window: 8, steps: 4 },
    refiner: { window: 8, steps: 2 },
    maxEvaluations: 1e6,
  });
  const parameters = { seed: 1, numImages: 1, sampler: 'ddim', steps: 4, eta: 0 } as const;
  const { specs } = await specifyWindows(
    model,
    { picture: plain(64, 64, [9, 9, 9]), mask },
    plan,
    parameters,
  );
  expect((specs[0] as WindowedSpec).stages.map(({ network }) => network)).toEqual(expected);
});

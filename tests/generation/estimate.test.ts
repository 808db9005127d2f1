import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lastSteps, stepsOf } from '../../src/diffusion/samplers/last-steps.ts';
import type { EngineInfo } from '../../src/engine/engine.ts';
import { assertSoon, evaluationsOf, secondsOf, type Work, workOf } from '../../src/generation/estimate.ts';
import type { PreparedRequest } from '../../src/generation/prepare.ts';
import { repaintEvaluations, repaintPlan } from '../../src/generation/trajectories/repaint.ts';
import { FakeRegistry } from '../http/fake-app.ts';

/** A prepared request to a model of this conditioning, for two images in 20 steps. */
function prepared(conditioning: 'inpaint' | 'none', parts: object, rowSeconds?: object): PreparedRequest {
  const { card, ...model } = new FakeRegistry().get();
  return {
    model: { ...model, ref: 'fake@1', card: { ...card, conditioning }, rowSeconds },
    parameters: { numImages: 2, steps: 20 },
    ...parts,
  } as unknown as PreparedRequest;
}

const whole = (evaluations: number) => ({ region: { strategy: 'resize', evaluations }, input: {} });
const level = (network: string, count: number, steps: number) => ({ network, steps, windows: Array(count) });
const windows = {
  region: {
    strategy: 'windows',
    plan: {
      regions: [
        { levels: [level('base', 3, 20), level('refiner', 5, 6)] },
        { levels: [level('base', 1, 20)] },
        { levels: [level('base', 1, 3)] }, // thin
      ],
    },
  },
  input: { hole: { fraction: 0.1 } },
};

const base = (rows: number, steps: number): Work => [{ network: 'base', rows, steps }];

test.each<[string, 'inpaint' | 'none', object, Work]>([
  ['a sample', 'none', {}, base(2, 20)],
  ['a variation', 'inpaint', { start: { strength: 0.6 } }, base(2, 12)],
  ['a fill of the whole picture', 'none', whole(50), base(2, 50)],
  [
    'a fill in windows',
    'inpaint',
    windows,
    [
      { network: 'base', rows: 2, steps: 3 },
      { network: 'base', rows: 8, steps: 20 },
      { network: 'refiner', rows: 10, steps: 6 },
    ],
  ],
])('what it takes: %s', (_, conditioning, parts, work) => {
  expect(workOf(prepared(conditioning, parts))).toEqual(work);
});

test('the evaluations of RePaint and of the last steps are those of the plans', () => {
  const steps = fc.integer({ min: 1, max: 60 });
  fc.assert(
    fc.property(
      steps,
      fc.integer({ min: 1, max: 70 }),
      fc.integer({ min: 1, max: 5 }),
      (steps, jump, times) => {
        expect(repaintEvaluations(steps, { jump, times })).toBe(repaintPlan(steps, { jump, times }).length);
      },
    ),
  );
  fc.assert(
    fc.property(steps, fc.double({ min: 0.01, max: 1, noNaN: true }), (steps, strength) => {
      const sampler = {
        timesteps: Array.from({ length: steps }, (_, i) => i),
        next: () => ({ step: 0, x: new Float32Array() }),
      };
      expect(stepsOf(steps, strength)).toBe(lastSteps(sampler, strength).timesteps.length);
    }),
  );
});

test('seconds are known where the speed of every network is', () => {
  const work: Work = [...base(2, 5), { network: 'refiner', rows: 2, steps: 2 }];
  expect(secondsOf(work, { rowSeconds: { base: 0.5, refiner: 0.25 } })).toBe(6);
  expect(secondsOf(work, { rowSeconds: { base: 0.5 } })).toBeUndefined();
  expect(secondsOf(work, {})).toBeUndefined();
  expect(evaluationsOf(work)).toBe(14);
});

test.each([
  [1, 1000], // a single row is evaluated on every core
  [2, 8 * 2000],
  [16, 16_000],
  [32, 32_000],
])('of 16 workers, %i images in 1000 steps keep as many busy as there are rows', (images, expected) => {
  const lastEngine = { ...(new FakeRegistry().get().engine as EngineInfo), workers: 16 };
  expect(secondsOf(base(images, 1000), { rowSeconds: { base: 1 }, lastEngine })).toBe(expected);
});

const soon = (request: PreparedRequest, maxMs: number) => assertSoon(request.model, workOf(request), maxMs);

test('a request that takes longer than the limit is refused, and the sentence says how long', async () => {
  const request = prepared('none', whole(50), { base: 3 });
  await expect(soon(request, 299_999)).rejects.toThrow(
    /100 evaluations of fake@1, about 5 minutes on the server.*\/v1\/jobs/,
  );
  await soon(request, 300_000);
});

test('a model whose speed is not known is loaded first', async () => {
  const request = prepared('none', whole(50));
  let opened = 0;
  const model = request.model as { rowSeconds?: object; open: () => Promise<unknown> };
  model.open = async () => {
    opened++;
    model.rowSeconds = { base: 3 };
  };
  await expect(soon(request, 60_000)).rejects.toThrow('5 minutes');
  await expect(soon(request, 60_000)).rejects.toThrow('5 minutes');
  expect(opened).toBe(1);
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseSplit, partOf } from '../../src/model/traffic-split.ts';

test.each([
  ['faces', [{ reference: 'faces', weight: 1 }]],
  ['faces@2', [{ reference: 'faces@2', weight: 1 }]],
  [
    'faces@1:90,@2:10',
    [
      { reference: 'faces@1', weight: 90 },
      { reference: 'faces@2', weight: 10 },
    ],
  ],
  [
    'faces@1:99.5, cats@2:0.5',
    [
      { reference: 'faces@1', weight: 99.5 },
      { reference: 'cats@2', weight: 0.5 },
    ],
  ],
])('%s', (text, parts) => {
  expect(parseSplit(text)).toEqual(parts);
});

test.each([
  '',
  '@2',
  'faces@',
  'Faces',
  'faces@x',
  'faces@1,',
  'faces@1:90,@2', // how much?
  'faces@1:-1',
  'faces:90,@2:10', // of which version?
  'faces@1 : 90',
])('%j is refused with an example', (text) => {
  expect(() => parseSplit(text)).toThrow('must be like celeba-inpaint-64, ');
});

test('a split that cannot be meant is refused', () => {
  expect(() => parseSplit('faces@1:90,@1:10')).toThrow('twice');
  expect(() => parseSplit('faces@1:0,@2:0')).toThrow('above 0');
});

const SEEDS = 100_000;

/** Counts of the parts that seeds in a row, and seeds drawn at random, go to. */
const counts = (weights: number[], seedOf: (i: number) => number) => {
  const parts = weights.map((weight, index) => ({ weight, index }));
  const found = weights.map(() => 0);
  for (let i = 0; i < SEEDS; i++) found[partOf(parts, seedOf(i)).index]++;
  return found;
};

test.each([
  ['in a row', (i: number) => i],
  ['a million apart', (i: number) => (i * 1_000_003) % 2 ** 32],
  ['the largest', (i: number) => 2 ** 32 - 1 - i],
])('seeds %s are split by weight, within four standard deviations', (_, seedOf) => {
  for (const weights of [
    [90, 10],
    [1, 1, 1],
    [99.5, 0.5],
    [0, 7],
  ]) {
    const total = weights.reduce((a, b) => a + b);
    counts(weights, seedOf).forEach((count, i) => {
      const p = weights[i] / total;
      expect(Math.abs(count - SEEDS * p)).toBeLessThanOrEqual(4 * Math.sqrt(SEEDS * p * (1 - p)));
    });
  }
});

test('a seed goes to the same part whenever it comes, and a larger share takes none back', () => {
  const seed = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  const weight = fc.integer({ min: 0, max: 100 });
  fc.assert(
    fc.property(seed, weight, weight, (seed, a, b) => {
      const to = (canary: number) =>
        partOf(
          [
            { weight: 100 - canary, name: 'old' },
            { weight: canary, name: 'new' },
          ],
          seed,
        ).name;
      const [fewer, more] = [Math.min(a, b), Math.max(a, b)];
      expect(to(a)).toBe(to(a));
      if (to(fewer) === 'new') expect(to(more)).toBe('new');
    }),
  );
});

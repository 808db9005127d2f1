import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseSplit, pickShare } from '../../src/model/traffic-split.ts';

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
])('%s is parsed', (text, shares) => {
  expect(parseSplit(text)).toEqual(shares);
});

test.each([
  '',
  '@2',
  'faces@',
  'Faces',
  'faces@x',
  'faces@1,',
  'faces@1:90,@2', // no weight
  'faces@1:-1',
  'faces:90,@2:10', // no version
  'faces@1 : 90',
])('%j is rejected with an example', (text) => {
  expect(() => parseSplit(text)).toThrow('must be like celeba-inpaint-64, ');
});

test('a split with a repeated version, or without a positive weight, is rejected', () => {
  expect(() => parseSplit('faces@1:90,@1:10')).toThrow('twice');
  expect(() => parseSplit('faces@1:0,@2:0')).toThrow('a weight above 0');
});

const SEEDS = 100_000;

/** How many of SEEDS seeds each share gets. */
const counts = (weights: number[], seedOf: (i: number) => number) => {
  const shares = weights.map((weight, index) => ({ weight, index }));
  const found = weights.map(() => 0);
  for (let i = 0; i < SEEDS; i++) found[pickShare(shares, seedOf(i)).index]++;
  return found;
};

test.each([
  ['that are consecutive', (i: number) => i],
  ['a million apart', (i: number) => (i * 1_000_003) % 2 ** 32],
  ['at the upper end', (i: number) => 2 ** 32 - 1 - i],
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

test('a seed always gets the same share, and keeps it when the weight of that share grows', () => {
  const seed = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  const weight = fc.integer({ min: 0, max: 100 });
  fc.assert(
    fc.property(seed, weight, weight, (seed, a, b) => {
      const to = (canary: number) =>
        pickShare(
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

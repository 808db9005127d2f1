import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Loads, refusal, retryAfterS } from '../../src/jobs/room.ts';

test.each([
  ['the first job to end', 1, 10],
  ['the third of three', 3, 40],
  ['twice as many as run', 6, 80],
])('retryAfterS: %s', (_, ends, seconds) => {
  const running = [
    { elapsedMs: 10_000, step: 50, of: 100 }, // 10 s left
    { elapsedMs: 10_000, step: 20, of: 100 }, // 40 s left
    { elapsedMs: 20_000, step: 0, of: 0 }, // unknown: 20 s
  ];
  expect(retryAfterS(ends, running)).toBe(seconds);
});

test('retryAfterS is from 1 to 600', () => {
  expect(retryAfterS(1, [])).toBe(1);
  expect(retryAfterS(1, [{ elapsedMs: 5, step: 1, of: 1 }])).toBe(1);
  expect(retryAfterS(5, [{ elapsedMs: 1e6, step: 1, of: 1000 }])).toBe(600);
});

test('neither limit is exceeded, a single job always fits, and another owner always finds room', () => {
  const jobs = fc.array(
    fc.record({ owner: fc.integer({ max: 4, min: 0 }), bytes: fc.integer({ min: 0, max: 60 }) }),
    {
      maxLength: 60,
    },
  );
  fc.assert(
    fc.property(jobs, fc.boolean(), (wanted, shared) => {
      const options = { limit: 32, inputBytes: 1000, shared };
      const loads = new Loads();
      for (const { owner, bytes } of wanted) {
        if (!refusal(options, loads.total, loads.of(`${owner}`), bytes)) loads.add(`${owner}`, bytes);
      }
      expect(loads.total.jobs).toBeLessThanOrEqual(32);
      expect(loads.total.bytes).toBeLessThanOrEqual(1000);
      if (shared) expect(refusal(options, loads.total, loads.of('new'), 1)).toBeUndefined();
    }),
  );
  expect(
    refusal({ limit: 1, inputBytes: 1, shared: true }, new Loads().total, new Loads().total, 99),
  ).toBeUndefined();
});

test('a load is released once', () => {
  const loads = new Loads();
  const [first, second] = [loads.add('a', 5), loads.add('a', 7)];
  first();
  first();
  expect([loads.total, loads.of('a'), loads.of('b')]).toEqual([
    { jobs: 1, bytes: 7 },
    { jobs: 1, bytes: 7 },
    { jobs: 0, bytes: 0 },
  ]);
  second();
  expect(loads.total).toEqual({ jobs: 0, bytes: 0 });
});

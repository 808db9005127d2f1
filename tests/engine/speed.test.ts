import { expect, test } from 'vitest';
import { Speed } from '../../src/engine/speed.ts';

test('the average starts at what was measured while the workers loaded, and follows the evaluations', () => {
  const speed = new Speed({ base: 1, refiner: 0.2 }, () => 0);
  expect(speed.rowSeconds).toEqual({ base: 1, refiner: 0.2 });
  speed.add('base', 3);
  expect(speed.rowSeconds).toEqual({ base: expect.closeTo(1.2, 10), refiner: 0.2 });
  speed.add('base', 0.2);
  expect(speed.rowSeconds.base).toBeCloseTo(1.1, 10);
  const unknown = new Speed({}, () => 0);
  expect(unknown.rowSeconds).toEqual({});
  unknown.add('refiner', 0.5);
  expect(unknown.rowSeconds).toEqual({ refiner: 0.5 });
});

test('after a slow period, the average falls back to its start value while nothing is evaluated', () => {
  let now = 0;
  const speed = new Speed({ base: 1, refiner: 1 }, () => now);
  for (let i = 0; i < 100; i++) {
    speed.add('base', 9);
    speed.add('refiner', 0.5);
  }
  expect(speed.rowSeconds.base).toBeCloseTo(9, 2);
  now = 10_000;
  expect(speed.rowSeconds.base).toBeCloseTo(5, 2); // half of the excess is left
  expect(speed.rowSeconds.refiner).toBeCloseTo(0.5, 2); // faster than at the start, which it stays
  now = 20_000;
  expect(speed.rowSeconds.base).toBeCloseTo(3, 2);
  speed.add('base', 9); // the machine is still slow
  expect(speed.rowSeconds.base).toBeCloseTo(3 + 0.1 * 6, 2);
  now = 600_000;
  expect(speed.rowSeconds.base).toBeCloseTo(1, 6);
});

test('the average does not fall back while a slow machine is busy', () => {
  let now = 0;
  const speed = new Speed({ base: 5 }, () => now);
  for (let i = 0; i < 100; i++) {
    speed.begin();
    now += 15_000;
    speed.add('base', 15);
    speed.end();
  }
  expect(speed.rowSeconds.base).toBeCloseTo(15, 2);
  speed.begin();
  now += 60_000; // two workers: there is always one that evaluates
  speed.begin();
  speed.end();
  now += 60_000;
  expect(speed.rowSeconds.base).toBeCloseTo(15, 2);
  speed.end();
  now += 10_000;
  expect(speed.rowSeconds.base).toBeCloseTo(10, 2);
});

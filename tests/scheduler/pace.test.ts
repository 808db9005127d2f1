import { expect, test } from 'vitest';
import { Pace } from '../../src/scheduler/pace.ts';

test('the pace begins at what was measured, and evaluations that take seconds count', () => {
  let ms = 0;
  const pace = new Pace(() => ms, 3);
  expect(pace.secondsPerRow).toBe(3);
  for (let i = 0; i < 40; i++) {
    pace.resume();
    ms += 6000;
    pace.count(1);
  }
  expect(pace.secondsPerRow).toBeCloseTo(6, 3);
});

test('a pause does not count', () => {
  let ms = 0;
  const pace = new Pace(() => ms, 0.01);
  for (let i = 0; i < 10; i++) {
    ms += 1500;
    pace.resume();
    ms += 10;
    pace.count(1);
  }
  expect(pace.secondsPerRow).toBeCloseTo(0.01, 6);
});

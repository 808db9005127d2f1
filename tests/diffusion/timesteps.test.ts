import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cosine, linear, type Schedule } from '../../src/diffusion/schedule.ts';
import { SPACINGS, timesteps } from '../../src/diffusion/timesteps.ts';

const T = 1000;
const CASES = [1, 2, 5, 12, 30, 250, 992, 999, 1000].flatMap((steps) =>
  [0, 8, 500, 999].map((final) => [steps, final] as const),
);

const logSnr = ({ abar }: Schedule, t: number) => Math.log(abar[t] / (1 - abar[t]));

test('log_snr is linspace where the log-SNR is linear in t', () => {
  const abar = Float64Array.from({ length: T }, (_, t) => 1 / (1 + Math.exp(0.018 * t - 8)));
  for (const [steps, final] of CASES) {
    const expected = timesteps({ T, abar }, steps, 'linspace', final);
    const found = timesteps({ T, abar }, steps, 'log_snr', final);
    const whole = (999 - final) % (steps - 1) === 0; // else halves may be rounded to either side
    const differences = found.map((t, i) => Math.abs(t - expected[i]));
    expect(Math.max(...differences), `${steps} steps to ${final}`).toBeLessThanOrEqual(whole ? 0 : 1);
  }
});

test('log_snr on the cosine schedule follows the closed form', () => {
  // With abar = cos^2(a), a = pi/2 (t + 1) / T, the log-SNR is -2 log tan(a): evenly spaced log tan(a).
  const schedule = cosine(T + 1, 0);
  const angle = (t: number) => ((t + 1) / (T + 1)) * (Math.PI / 2);
  const [from, to] = [Math.tan(angle(T - 3)), Math.tan(angle(8))];
  const found = timesteps({ T: T - 2, abar: schedule.abar }, 12, 'log_snr', 8); // above, abar is at its lower bound
  for (const [i, t] of found.entries()) {
    const expected = Math.atan(from * (to / from) ** (i / 11));
    expect(Math.abs(angle(t) - expected)).toBeLessThan(angle(1) - angle(0));
  }
});

test('log_snr takes the nearest timestep for each value', () => {
  for (const schedule of [cosine(T), linear(T)]) {
    const [from, to] = [logSnr(schedule, T - 1), logSnr(schedule, 8)];
    const found = timesteps(schedule, 12, 'log_snr', 8);
    for (const [i, t] of found.entries()) {
      const distance = (t: number) => Math.abs(logSnr(schedule, t) - (from + (i / 11) * (to - from)));
      const least = Math.min(...Array.from({ length: T }, (_, t) => distance(t)));
      expect(distance(t)).toBeCloseTo(least, 12);
    }
  }
});

test('twelve timesteps of the cosine schedule', () => {
  expect(timesteps(cosine(T), 12)).toEqual([999, 916, 832, 749, 666, 582, 499, 416, 332, 249, 166, 82]);
  expect(timesteps(cosine(T), 12, 'log_snr', 8)).toEqual([
    999, 994, 988, 972, 935, 849, 668, 401, 186, 75, 27, 8,
  ]);
});

test('a refiner that starts below T - 1 spends its steps on the noise levels that are left', () => {
  expect(timesteps(cosine(T), 6, 'log_snr', 8)).toEqual([999, 985, 908, 511, 91, 8]);
  expect(timesteps(cosine(T), 6, 'log_snr', 8, 900)).toEqual([900, 713, 374, 131, 38, 8]);
  expect(timesteps(cosine(T), 3, 'linspace', 0, 500)).toEqual([500, 250, 0]);
});

test('every number of steps is strictly decreasing, from the first timestep down to the final one', () => {
  const cases = fc
    .record({
      kind: fc.constantFrom(cosine, linear),
      T: fc.integer({ min: 1, max: 60 }),
      spacing: fc.constantFrom(...SPACINGS),
      steps: fc.nat(),
      final: fc.nat(),
      first: fc.nat(),
    })
    .map(({ T, steps, final, first, spacing, kind }) => {
      const start = spacing === 'leading' || spacing === 'trailing' ? T - 1 : first % T;
      return { T, kind, spacing, first: start, steps: 1 + (steps % (start + 1)), final: final % T };
    });
  const property = fc.property(cases, ({ kind, T, steps, spacing, final, first }) => {
    const found = timesteps(kind(T), steps, spacing, final, first);
    expect(found).toHaveLength(steps);
    expect(found.every((t, i) => t >= 0 && t < (i === 0 ? T : found[i - 1]))).toBe(true);
    if (spacing !== 'leading') expect(found[0]).toBe(first);
    if (spacing !== 'leading' && spacing !== 'trailing' && steps > 1)
      expect(found[steps - 1]).toBe(Math.min(final, first + 1 - steps));
  });
  fc.assert(property, { numRuns: 2000 });
});

test('what is out of range is refused', () => {
  const schedule = cosine(T);
  for (const steps of [0, 1001, 1.5]) expect(() => timesteps(schedule, steps)).toThrow('from 1 to 1000');
  for (const final of [-1, 1000, 0.5])
    expect(() => timesteps(schedule, 2, 'log_snr', final)).toThrow('from 0 to 999');
});

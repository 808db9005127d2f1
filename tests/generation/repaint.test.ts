import { expect, test } from 'vitest';
import { gaussian } from '../../src/diffusion/noise.ts';
import { dpmpp2mStep } from '../../src/diffusion/samplers/dpmpp-2m.ts';
import { createSampler } from '../../src/diffusion/samplers/index.ts';
import { levels } from '../../src/diffusion/samplers/sampler.ts';
import { cosine, linear } from '../../src/diffusion/schedule.ts';
import {
  type RepaintOptions,
  RepaintTrajectory,
  repaintPlan,
} from '../../src/generation/trajectories/repaint.ts';

/** That of a card which does not say. */
const RESAMPLING = { jump: 5, times: 3 };

/**
 * Test data with a known score: Gaussian pairs (a, b) with unit variance and correlation RHO. Given a, b has the
 * distribution N(RHO a, 1 - RHO^2). Inpainting must reproduce it; pasting a into unconditional samples would not.
 */
const RHO = 0.9;
const PAIRS = 3000;
const schedule = cosine(1000);

/** The exact v. With S = [[1, RHO], [RHO, 1]], cov(x_t) = abar S + (1 - abar) I = [[1, c], [c, 1]], c = abar RHO. */
function exactV(abar: number, x: Float32Array): Float32Array {
  const [signal, noise] = [Math.sqrt(abar), Math.sqrt(1 - abar)];
  const c = abar * RHO;
  const v = new Float32Array(x.length);
  for (let i = 0; i < PAIRS; i++) {
    const [a, b] = [x[i], x[PAIRS + i]];
    // (u, w) = [[1, c], [c, 1]]^-1 (a, b); E[x_0 | x_t] = sqrt(abar) S (u, w); epsilon follows from x_t and x_0.
    const u = (a - c * b) / (1 - c * c);
    const w = (b - c * a) / (1 - c * c);
    const x0 = [signal * (u + RHO * w), signal * (RHO * u + w)];
    v[i] = (signal * (a - signal * x0[0])) / noise - noise * x0[0];
    v[PAIRS + i] = (signal * (b - signal * x0[1])) / noise - noise * x0[1];
  }
  return v;
}

/** One candidate with the seed of all these tests. */
const repainting = (options: Omit<RepaintOptions, 'seed' | 'candidate'>) =>
  new RepaintTrajectory({ ...options, seed: 3, candidate: 0 });

function run(resampling: { jump: number; times: number }, steps = 100, schedule = cosine(1000)) {
  const known = { x0: new Float32Array(2 * PAIRS).fill(1), mask: new Float32Array(2 * PAIRS) };
  known.mask.fill(1, PAIRS); // b is the hole; a is known and is 1
  known.x0.set(gaussian({ seed: 99, candidate: 0, step: 0 }, PAIRS), PAIRS); // the old content must have no influence
  const sampler = createSampler('ddpm', { schedule, prediction: 'v', steps, clip: false });
  const trajectory = repainting({ sampler, schedule, conditioning: known, resampling });
  while (trajectory.step < trajectory.total) {
    const { x, t } = trajectory.input();
    trajectory.advance(exactV(schedule.abar[t], x));
  }
  const b = trajectory.x0.subarray(PAIRS);
  const mean = b.reduce((sum, bi) => sum + bi, 0) / PAIRS;
  const variance = b.reduce((sum, bi) => sum + (bi - mean) ** 2, 0) / PAIRS;
  return { a: trajectory.x0.subarray(0, PAIRS), mean, variance };
}

test('known pixels are returned unchanged', () => {
  expect(run({ jump: 5, times: 1 }).a.every((ai) => ai === 1)).toBe(true);
});

test('resampling makes the hole consistent with the known pixels', () => {
  const once = run({ jump: 5, times: 1 });
  const often = run({ jump: 5, times: 8 });
  const error = (found: { mean: number }) => Math.abs(found.mean - RHO);
  expect(error(often)).toBeLessThan(0.05);
  expect(error(often)).toBeLessThan(error(once));
  expect(Math.abs(often.variance - (1 - RHO ** 2))).toBeLessThan(0.06);
});

test('a jump back does not change the estimate of x_0', () => {
  const schedule = cosine(1000);
  const sampler = createSampler('ddpm', { schedule, prediction: 'v', steps: 20 });
  const known = { x0: new Float32Array(4), mask: Float32Array.of(1, 1, 1, 0) };
  const trajectory = repainting({
    sampler,
    schedule,
    conditioning: known,
    resampling: { jump: 2, times: 2 },
  });
  while (trajectory.step < trajectory.total - 1) {
    const { x, t } = trajectory.input();
    const [a, b] = [Math.sqrt(schedule.abar[t]), Math.sqrt(1 - schedule.abar[t])];
    trajectory.advance(x.map((xi) => (a * xi - 0.5) / b)); // v for x_0 = 0.5 everywhere
    for (const x0 of trajectory.x0) expect(x0).toBeCloseTo(0.5, 4);
  }
});

/** Levels that the published get_schedule_jump(t_T, jump_length, jump_n_sample) lists, without the final -1. */
const PUBLISHED: [steps: number, jump: number, times: number, levels: number[]][] = [
  [6, 2, 2, [5, 4, 3, 2, 3, 4, 3, 2, 1, 0, 1, 2, 1, 0]],
  [5, 2, 2, [4, 3, 2, 3, 4, 3, 2, 1, 0, 1, 2, 1, 0]],
  [7, 3, 3, [6, 5, 4, 3, 4, 5, 6, 5, 4, 3, 4, 5, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0]],
  [4, 10, 3, [3, 2, 1, 0]],
  [6, 2, 1, [5, 4, 3, 2, 1, 0]],
];

test.each(
  PUBLISHED,
)('the plan for %i steps, jump %i, %i times visits the published levels', (steps, jump, times, levels) => {
  // A level is evaluated where the next one is lower; where it is higher, noise is added.
  const evaluated = levels.filter((level, i) => (levels[i + 1] ?? -1) < level);
  expect(repaintPlan(steps, { jump, times })).toEqual(evaluated.map((level) => steps - 1 - level));
});

test('with the usual resampling, 50 steps take 140 evaluations', () => {
  expect(repaintPlan(50, RESAMPLING)).toHaveLength(140);
});

test("with the paper's resampling, 250 steps take 2,410 evaluations", () => {
  expect(repaintPlan(250, { jump: 10, times: 10 })).toHaveLength(2410);
});

test('resampling comes closer to the conditional distribution than as many steps without it', () => {
  const plain = run({ jump: 5, times: 1 }, 140, linear(1000));
  // docs/theory.md names both. With resampling: below; the truth is 0.9 and 0.19.
  expect(Math.abs(plain.mean - 0.62)).toBeLessThan(0.03);
  expect(Math.abs(plain.variance - 0.29)).toBeLessThan(0.03);
});

test('at equal evaluations it comes closer to the conditional distribution than repeating the noisy end', () => {
  const found = run({ jump: 5, times: 3 }, 50, linear(1000));
  // Measured for the published plan: mean 0.782, variance 0.196. Repeating every stretch but the last gives 0.715, 0.241.
  expect(Math.abs(found.mean - 0.782)).toBeLessThan(0.03);
  expect(Math.abs(found.variance - 0.196)).toBeLessThan(0.03);
});

test('where nothing is known, x is not resampled', () => {
  const nothing = { x0: new Float32Array(12), mask: new Float32Array(12).fill(1) };
  const sampler = createSampler('ddpm', { schedule, prediction: 'v', steps: 50 });
  expect(repainting({ sampler, schedule, conditioning: nothing, resampling: RESAMPLING }).total).toBe(50);
});

test('the same seed gives the same result', () => {
  expect(run({ jump: 5, times: 2 })).toEqual(run({ jump: 5, times: 2 }));
});

test('at every evaluation, jumps back included, known pixels are as noisy as the timestep says', () => {
  const n = 20_000;
  const known = { x0: new Float32Array(n).fill(1), mask: new Float32Array(n) };
  const sampler = createSampler('ddim', { schedule, prediction: 'v', steps: 10 });
  const trajectory = repainting({
    sampler,
    schedule,
    conditioning: known,
    resampling: { jump: 2, times: 2 },
  });
  expect(trajectory.total).toBeGreaterThan(10);
  while (trajectory.step < trajectory.total) {
    const { x, t } = trajectory.input();
    const mean = x.reduce((sum, xi) => sum + xi, 0) / n;
    const variance = x.reduce((sum, xi) => sum + (xi - mean) ** 2, 0) / n;
    // Five standard errors; the levels of neighbouring steps are further apart.
    const { [t]: abar } = schedule.abar;
    expect(Math.abs(mean - Math.sqrt(abar)), `mean at t ${t}`).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(variance - (1 - abar)), `variance at t ${t}`).toBeLessThan(5 * Math.sqrt(2 / n));
    trajectory.advance(new Float32Array(n));
  }
});

test('a multistep sampler combines the estimates of consecutive steps, and none from before a jump', () => {
  const resampling = { jump: 2, times: 2 };
  const plan = repaintPlan(6, resampling);
  const known = { x0: new Float32Array(2), mask: Float32Array.of(0, 1) };
  const sampler = createSampler('dpmpp_2m', { schedule, prediction: 'sample', steps: 6 });
  const trajectory = repainting({ sampler, schedule, conditioning: known, resampling });
  const follows = (i: number) => plan[i] === plan[i - 1] + 1;
  const compared: boolean[] = [];
  let last: Parameters<typeof dpmpp2mStep>[3];
  for (const [i, step] of plan.entries()) {
    const level = levels(schedule.abar, sampler.timesteps, step);
    const { x } = trajectory.input();
    const x0 = new Float32Array(2).fill(Math.sin(i));
    const expected = dpmpp2mStep(level, x, x0, follows(i) ? last : undefined);
    trajectory.advance(x0);
    last = { abar: level.abar, x0 };
    if (!follows(i + 1)) continue; // x has been noised back since, or is the result
    expect(trajectory.input().x[1], `evaluation ${i}`).toBe(expected[1]);
    if (i > 0) compared.push(follows(i));
  }
  expect(new Set(compared)).toEqual(new Set([true, false]));
});

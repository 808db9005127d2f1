import { describe, expect, test } from 'vitest';
import { gaussian } from '../../src/diffusion/noise.ts';
import { createSampler, SAMPLER_NAMES, type SamplerOptions } from '../../src/diffusion/samplers/index.ts';
import type { SamplerState } from '../../src/diffusion/samplers/sampler.ts';
import { cosine, linear, type Schedule } from '../../src/diffusion/schedule.ts';

/** Test data: independent values from N(MEAN, SD^2), for which the optimal prediction is known in closed form. */
const MEAN = 0.3;
const SD = 0.25;
const N = 8_000;

/** E[x_0 | x_t] for Gaussian data. */
function posteriorMean(abar: number, x: number): number {
  const gain = (Math.sqrt(abar) * SD ** 2) / (abar * SD ** 2 + 1 - abar);
  return MEAN + gain * (x - Math.sqrt(abar) * MEAN);
}

/** The output of a perfect network. */
function exact(
  schedule: Schedule,
  type: SamplerOptions['prediction'],
  x: Float32Array,
  t: number,
): Float32Array {
  const abar = schedule.abar[t];
  const [a, b] = [Math.sqrt(abar), Math.sqrt(1 - abar)];
  return x.map((xi) => {
    const x0 = posteriorMean(abar, xi);
    const epsilon = (xi - a * x0) / b;
    return type === 'sample' ? x0 : type === 'epsilon' ? epsilon : a * epsilon - b * x0;
  });
}

/** The noise of each step, drawn once for all runs: drawing it is most of the work. */
const drawn: Float32Array[] = [];
const draw = (step: number) => (drawn[step] ??= gaussian({ seed: 11, candidate: 0, step }, N));

function run(name: (typeof SAMPLER_NAMES)[number], options: SamplerOptions): Float32Array {
  const sampler = createSampler(name, { clip: false, ...options });
  let state: SamplerState = { step: 0, x: draw(0) };
  while (state.step < sampler.timesteps.length) {
    const prediction = exact(options.schedule, options.prediction, state.x, sampler.timesteps[state.step]);
    state = sampler.next(state, prediction, () => draw(state.step + 1));
  }
  return state.x;
}

function moments(x: Float32Array) {
  const mean = x.reduce((sum, xi) => sum + xi, 0) / x.length;
  return { mean, sd: Math.sqrt(x.reduce((sum, xi) => sum + (xi - mean) ** 2, 0) / x.length) };
}

describe.each([
  ['cosine', cosine(1000)],
  ['linear', linear(1000)],
])('Gaussian data with the exact score, %s schedule', (_, schedule) => {
  // Tolerances as a share of SD: the discretisation error at these steps, plus four standard errors of 8,000 draws.
  test.each([
    ['ddim', { eta: 0 }],
    ['ddim', { eta: 0.5 }],
    ['ddim', { eta: 1 }],
    ['ddpm', { variance: 'fixed_small' as const }],
    ['ddpm', { variance: 'fixed_large' as const }],
    ['dpmpp_2m', {}],
  ] as const)('%s %j lands on the mean and the variance', (name, extra) => {
    const steps = name === 'dpmpp_2m' ? 60 : 1000;
    const { mean, sd } = moments(run(name, { schedule, prediction: 'v', steps, ...extra }));
    expect(Math.abs(mean - MEAN)).toBeLessThan(0.045 * SD);
    expect(Math.abs(sd - SD)).toBeLessThan(0.04 * SD);
  });
});

test('in 12 steps of dpmpp_2m, ending at a low timestep keeps the variance that trailing loses', () => {
  const schedule = cosine(1000);
  const options = { schedule, prediction: 'v', steps: 12 } as const;
  // The last estimate is E[x_0 | x_t]: its standard deviation is SD / sqrt(1 + sigma^2 / SD^2), sigma^2 = 1 / abar - 1.
  const kept = (t: number) => 1 / Math.hypot(1, Math.sqrt(1 / schedule.abar[t] - 1) / SD);
  expect(kept(82)).toBeCloseTo(0.87, 2);
  expect(kept(8)).toBeCloseTo(1, 2);
  const trailing = moments(run('dpmpp_2m', options)).sd / SD;
  const logSnr = moments(run('dpmpp_2m', { ...options, spacing: 'log_snr', finalTimestep: 8 })).sd / SD;
  expect(Math.abs(trailing - kept(82))).toBeLessThan(0.04);
  expect(Math.abs(logSnr - kept(8))).toBeLessThan(0.04);
});

test('epsilon, v and sample predictions of the same network give the same picture', () => {
  const schedule = cosine(1000);
  for (const name of SAMPLER_NAMES) {
    const [v, epsilon, sample] = (['v', 'epsilon', 'sample'] as const).map((prediction) =>
      run(name, { schedule, prediction, steps: 20 }),
    );
    for (let i = 0; i < 100; i++) {
      expect(epsilon[i]).toBeCloseTo(v[i], 3);
      expect(sample[i]).toBeCloseTo(v[i], 3);
    }
  }
});

test('ddim with eta 1 and ddpm with fixed_small variance give the same result', () => {
  const options = { schedule: cosine(1000), prediction: 'v' as const, steps: 50 };
  const ddim = run('ddim', { ...options, eta: 1 });
  const ddpm = run('ddpm', options);
  for (let i = 0; i < 100; i++) expect(ddim[i]).toBeCloseTo(ddpm[i], 4);
});

test('estimates of the clean picture are clipped to -1..1, unless clip is false', () => {
  const schedule = cosine(1000);
  const x = Float32Array.of(-3, -0.5, 0.5, 3);
  for (const name of SAMPLER_NAMES) {
    const estimate = (clip?: boolean) => {
      const sampler = createSampler(name, { schedule, prediction: 'sample', steps: 4, clip });
      return [...(sampler.next({ step: 0, x }, x, () => x).x0 ?? [])];
    };
    expect(estimate()).toEqual([-1, -0.5, 0.5, 1]);
    expect(estimate(false)).toEqual([-3, -0.5, 0.5, 3]);
  }
});

test('learned variance interpolates between the posterior and beta', () => {
  const schedule = cosine(1000);
  const x = gaussian({ seed: 3, candidate: 0, step: 0 }, 64);
  const z = gaussian({ seed: 3, candidate: 0, step: 1 }, 64);
  const step = (variance: 'fixed_small' | 'fixed_large' | 'learned', v = 0) => {
    const sampler = createSampler('ddpm', { schedule, prediction: 'v', steps: 20, variance });
    const prediction = new Float32Array(variance === 'learned' ? 128 : 64).fill(0.1).fill(v, 64);
    return sampler.next({ step: 0, x }, prediction, () => z).x;
  };
  const close = (a: Float32Array, b: Float32Array) => {
    for (const [i, ai] of a.entries()) expect(ai).toBeCloseTo(b[i], 5);
  };
  close(step('learned', -1), step('fixed_small'));
  close(step('learned', 1), step('fixed_large'));
});

test('learned variance is refused for a network without a variance output', () => {
  const sampler = createSampler('ddpm', {
    schedule: cosine(10),
    prediction: 'v',
    steps: 2,
    variance: 'learned',
  });
  const x = new Float32Array(4);
  expect(() => sampler.next({ step: 0, x }, new Float32Array(4), () => x)).toThrow('no variance output');
});

test('a step does not modify its input', () => {
  for (const name of SAMPLER_NAMES) {
    const sampler = createSampler(name, { schedule: cosine(100), prediction: 'v', steps: 100, eta: 1 });
    let state: SamplerState = { step: 0, x: gaussian({ seed: 1, candidate: 0, step: 0 }, 16) };
    while (state.step < 100) {
      const before = state.x.slice();
      const z = gaussian({ seed: 1, candidate: 0, step: state.step + 1 }, 16);
      const next = sampler.next(state, new Float32Array(16).fill(0.2), () => z);
      expect(state.x).toEqual(before);
      expect(next.x.every(Number.isFinite)).toBe(true);
      state = next;
    }
  }
});

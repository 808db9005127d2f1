import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { qSample } from '../../src/diffusion/forward.ts';
import { impliedEpsilon, type PredictionType, predictX0 } from '../../src/diffusion/prediction.ts';
import { ddimStep } from '../../src/diffusion/samplers/ddim.ts';
import { ddpmStep } from '../../src/diffusion/samplers/ddpm.ts';
import { dpmpp2mStep } from '../../src/diffusion/samplers/dpmpp-2m.ts';
import { cosine, linear } from '../../src/diffusion/schedule.ts';
import { type Spacing, timesteps } from '../../src/diffusion/timesteps.ts';

interface Step {
  sampler: 'ddim' | 'ddpm' | 'dpmpp_2m';
  abar: number;
  abar_next: number;
  x: number[];
  x0: number[];
  next: number[];
  eta: number;
  noise: number[];
  last: { abar: number; x0: number[] } | null;
}

/** Results of the Python implementation for the same inputs, written by training/vectors.py. */
const vectors: {
  schedules: { type: 'cosine' | 'linear'; T: number; t: number[]; abar: number[] }[];
  timesteps: {
    type: 'cosine' | 'linear';
    T: number;
    steps: number;
    spacing: Spacing;
    final: number;
    first: number;
    timesteps: number[];
  }[];
  q_sample: { t: number; x0: number[]; eps: number[]; x: number[] }[];
  x0: { prediction: PredictionType; t: number; x: number[]; out: number[]; x0: number[]; eps: number[] }[];
  steps: Step[];
} = JSON.parse(readFileSync('tests/vectors/diffusion.json', 'utf8'));

const f32 = (values: number[]) => Float32Array.from(values);

/** Compares with a tolerance relative to the largest value, because the Python implementation uses fp32. */
function expectClose(found: ArrayLike<number>, expected: number[], tolerance = 1e-5) {
  expect(found.length).toBe(expected.length);
  const scale = Math.max(1, ...expected.map(Math.abs));
  for (const [i, value] of expected.entries())
    expect(Math.abs(found[i] - value) / scale).toBeLessThan(tolerance);
}

test('schedules', () => {
  for (const { type, T, t, abar } of vectors.schedules) {
    const schedule = type === 'cosine' ? cosine(T) : linear(T);
    for (const [i, at] of t.entries()) expect(Math.abs(schedule.abar[at] / abar[i] - 1)).toBeLessThan(1e-9);
  }
});

test('timesteps', () => {
  for (const { type, T, steps, spacing, final, first, timesteps: expected } of vectors.timesteps) {
    const schedule = type === 'cosine' ? cosine(T) : linear(T);
    const found = timesteps(schedule, steps, spacing, final, first);
    expect(found, `${type} ${T} ${steps} ${spacing} ${final} ${first}`).toEqual(expected);
  }
});

test('the forward process', () => {
  for (const { t, x0, eps, x } of vectors.q_sample)
    expectClose(qSample(cosine(1000), f32(x0), t, f32(eps)), x);
});

test('x_0 and epsilon from a prediction', () => {
  const { abar } = cosine(1000);
  for (const { prediction, t, x, out, x0, eps } of vectors.x0) {
    const found = predictX0(prediction, abar[t], f32(x), f32(out), false);
    expectClose(found, x0);
    expectClose(
      x.map((xi, i) => impliedEpsilon(abar[t], xi, x0[i])),
      eps,
      1e-4, // cancellation, then division by a small number
    );
  }
});

describe('steps', () => {
  test.each(vectors.steps.map((step, i) => [`${step.sampler} ${i}`, step] as const))('%s', (_, step) => {
    const level = { abar: step.abar, abarNext: step.abar_next };
    const [x, x0] = [f32(step.x), f32(step.x0)];
    const noise = () => f32(step.noise);
    switch (step.sampler) {
      case 'ddim':
        return expectClose(ddimStep(level, step.eta, x, x0, noise), step.next);
      case 'ddpm':
        return expectClose(ddpmStep(level, 'fixed_small', x, x0, noise), step.next);
      case 'dpmpp_2m': {
        const last = step.last ? { abar: step.last.abar, x0: f32(step.last.x0) } : undefined;
        return expectClose(dpmpp2mStep(level, x, x0, last), step.next);
      }
    }
  });
});

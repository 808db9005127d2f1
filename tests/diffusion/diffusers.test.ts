import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createSampler, type SamplerName, type SamplerOptions } from '../../src/diffusion/samplers/index.ts';
import type { SamplerState } from '../../src/diffusion/samplers/sampler.ts';
import { cosine, linear, type Schedule } from '../../src/diffusion/schedule.ts';

type Name = 'linear' | 'cosine';

interface Trajectory extends Required<Pick<SamplerOptions, 'prediction' | 'spacing' | 'clip'>> {
  sampler: SamplerName;
  variance?: SamplerOptions['variance'];
  eta?: number;
  schedule: Name;
  timesteps: number[];
  /** x after each timestep. The last state is absent where the two differ on purpose. */
  states: number[][];
}

/** Trajectories of diffusers' schedulers: training/vectors_diffusers.py. */
const vectors: {
  diffusers: string;
  T: number;
  /** noise[0] is x_T, noise[i + 1] what step i adds. */
  noise: number[][];
  /** abar at the timesteps that some trajectory visits, as float32 in diffusers. */
  schedules: Record<Name, { t: number[]; abar: number[] }>;
  trajectories: Trajectory[];
} = JSON.parse(readFileSync('tests/vectors/diffusers.json', 'utf8'));

/** Relative to the value, or to 1 where it is smaller. */
const TOLERANCE = 1e-5;
const error = (found: number, expected: number) =>
  Math.abs(found - expected) / Math.max(1, Math.abs(expected));

/** diffusers' schedule. NaN where no trajectory goes: a sampler that looks at another timestep is found out. */
function scheduleOf(name: Name): Schedule {
  const abar = new Float64Array(vectors.T).fill(Number.NaN);
  vectors.schedules[name].t.forEach((t, i) => {
    abar[t] = vectors.schedules[name].abar[i];
  });
  return { T: vectors.T, abar };
}

/** The stand-in for a network, the same as in training/vectors_diffusers.py: a prediction, then a variance output. */
function network(x: Float32Array, t: number): Float32Array {
  const bounded = Array.from(x, (xi) => xi / (1 + Math.abs(xi)));
  const prediction = bounded.map((b, channel) => 1.5 * Math.cos(0.01 * t + channel) * b);
  const variance = bounded.map((b, channel) => Math.sin(0.02 * t + channel) * b);
  return Float32Array.from([...prediction, ...variance]);
}

const describeCase = ({ sampler, variance, eta, prediction, spacing, schedule, clip }: Trajectory) =>
  [
    sampler,
    variance ?? (eta !== undefined ? `eta ${eta}` : ''),
    prediction,
    spacing,
    schedule,
    clip && 'clip',
  ]
    .filter(Boolean)
    .join(' ');

/** The largest error over all states of a trajectory. */
function largestError({ sampler: name, schedule, timesteps, states, ...options }: Trajectory): number {
  const sampler = createSampler(name, {
    ...options,
    schedule: scheduleOf(schedule),
    steps: timesteps.length,
  });
  expect(sampler.timesteps).toEqual(timesteps);
  let state: SamplerState = { step: 0, x: Float32Array.from(vectors.noise[0]) };
  const errors = states.flatMap((expected) => {
    const noise = Float32Array.from(vectors.noise[state.step + 1]);
    state = sampler.next(state, network(state.x, timesteps[state.step]), () => noise);
    return expected.map((value, i) => error(state.x[i], value));
  });
  return Math.max(...errors);
}

test.each([
  ['ddpm', 108], // 3 variances x 3 predictions x 3 spacings x 2 schedules, with and without clip
  ['ddim', 72], // 3 values of eta x 3 predictions x 2 spacings x 2 schedules, with and without clip
  ['dpmpp_2m', 36],
] as const)('%s follows the %i trajectories of diffusers', (sampler, count) => {
  const trajectories = vectors.trajectories.filter((each) => each.sampler === sampler);
  expect(trajectories).toHaveLength(count);
  const errors = trajectories.map((each) => [describeCase(each), largestError(each)] as const);
  expect(errors.filter(([, worst]) => !(worst < TOLERANCE))).toEqual([]);
});

test("the schedules are diffusers' to single precision, but for cosine's last three timesteps", () => {
  for (const [name, schedule] of [
    ['linear', linear(vectors.T)],
    ['cosine', cosine(vectors.T)],
  ] as const) {
    const { t: timesteps, abar } = vectors.schedules[name];
    for (const [i, t] of timesteps.entries()) {
      if (name === 'cosine' && t >= vectors.T - 3) expect(schedule.abar[t]).toBe(1e-5);
      else expect(Math.abs(schedule.abar[t] / abar[i] - 1), `${name} ${t}`).toBeLessThan(1e-6);
    }
  }
});

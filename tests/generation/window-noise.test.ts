import { describe, expect, test } from 'vitest';
import { gaussianPixel } from '../../src/diffusion/noise.ts';
import type { Sampler } from '../../src/diffusion/samplers/sampler.ts';
import { cosine } from '../../src/diffusion/schedule.ts';
import { enlargedAt } from '../../src/generation/trajectories/enlarge.ts';
import { JointDenoising, type JointOptions } from '../../src/generation/trajectories/joint.ts';

const R = 16;
const AREA = R * R;
const LEVEL = 2;
const SEED = 5;
const CANDIDATE = 1;
const TOP = 7;

/** Each x is the noise that is drawn for the step before. */
const SAMPLER: Sampler = {
  timesteps: [99, 66, 33],
  next: ({ step }, x0, noise) => ({ step: step + 1, x: noise(), x0 }),
};

/** One window that is all hole, with its left edge at column `left` of the level. */
function denoising(left: number, coarse?: JointOptions['coarse']): JointDenoising {
  const canvas = { left, top: TOP, width: R, height: R };
  const level = {
    level: LEVEL,
    network: coarse ? ('refiner' as const) : ('base' as const),
    canvas,
    windows: [canvas],
    x0: new Float32Array(3 * AREA),
    mask: new Float32Array(AREA).fill(1),
    holePixels: AREA,
    steps: SAMPLER.timesteps.length,
  };
  const schedule = cosine(100);
  return new JointDenoising(level, {
    sampler: SAMPLER,
    schedule,
    prediction: 'sample',
    seed: SEED,
    candidate: CANDIDATE,
    coarse,
  });
}

/** The noise of a draw for the pixels of a window at column `left`, [3, R, R]. */
function drawn(step: number, left: number): Float32Array {
  const noise = new Float32Array(3 * AREA);
  const pixel = new Float64Array(4);
  for (let p = 0; p < AREA; p++) {
    const position = { x: left + (p % R), y: TOP + Math.floor(p / R), level: LEVEL };
    gaussianPixel({ seed: SEED, candidate: CANDIDATE, step }, position, pixel);
    for (let c = 0; c < 3; c++) noise[c * AREA + p] = pixel[c];
  }
  return noise;
}

test.each([
  0, 3,
])('x_T and the noise of each step are those of the pixels of the level: column %i', (left) => {
  const joint = denoising(left);
  for (let step = 0; step < SAMPLER.timesteps.length; step++) {
    expect(joint.input(0).x.subarray(0, 3 * AREA)).toEqual(drawn(step, left));
    joint.advance(new Float32Array(3 * AREA), 0);
  }
});

describe('the noise that a refiner’s coarse fill is given', () => {
  const side = R + 8;
  const fill = { level: LEVEL + 1, left: -4, top: 0, width: side, height: side };
  const x0 = Float32Array.from({ length: 3 * side ** 2 }, (_, i) => 0.5 * Math.sin(i));
  const mask = new Float32Array(side ** 2).fill(1);
  const added = () => {
    const joint = denoising(0, { canvas: { ...fill, x0 }, mask, noise: 0.2, noiseMax: 0.3 });
    const coarse = joint.input(0).x.subarray(3 * AREA, 6 * AREA);
    return coarse.map((value, i) => {
      const [c, p] = [Math.floor(i / AREA), i % AREA];
      return (value - enlargedAt({ ...fill, x0 }, p % R, TOP + Math.floor(p / R), c)) / 0.2;
    });
  };

  test('has the standard deviation that is asked for', () => {
    const z = added();
    const variance = z.reduce((sum, value) => sum + value ** 2, 0) / z.length;
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / z.length));
  });

  test('is uncorrelated with x_T and with the noise of each step', () => {
    const z = added();
    for (let step = 0; step <= SAMPLER.timesteps.length; step++) {
      const noise = drawn(step, 0);
      const correlation = z.reduce((sum, value, i) => sum + value * noise[i], 0) / z.length;
      expect(Math.abs(correlation), `draw ${step}`).toBeLessThan(5 / Math.sqrt(z.length));
    }
  });
});

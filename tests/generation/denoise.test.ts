import { afterEach, expect, test, vi } from 'vitest';
import { scheduleFrom } from '../../src/diffusion/schedule.ts';
import { timesteps } from '../../src/diffusion/timesteps.ts';
import { denoise } from '../../src/generation/denoise.ts';
import type { RepaintTrajectory } from '../../src/generation/trajectories/repaint.ts';
import { wholeSpecs } from '../../src/generation/whole.ts';
import { baseSampling } from '../../src/model/fields.ts';
import type { ServedModel } from '../../src/registry/served-model.ts';
import type { RunOptions, Scheduler } from '../../src/scheduler/scheduler.ts';
import type { Trajectory } from '../../src/scheduler/trajectory.ts';
import { FakeRegistry } from '../http/fake-app.ts';

/** A model with these changes of its card, whose requests `run` takes in place of a scheduler. */
function modelWith(
  run: Pick<Scheduler, 'run'>['run'],
  changes: Partial<ServedModel['card']> = {},
): ServedModel {
  const fake = new FakeRegistry().get();
  const engine = fake.engine as NonNullable<ServedModel['engine']>;
  const scheduler = { run } as Scheduler;
  return { ...fake, card: { ...fake.card, ...changes }, open: async () => ({ scheduler, engine }) };
}

afterEach(() => vi.restoreAllMocks());

test('eta_ms is measured from the first evaluation, without the time in the queue', async () => {
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  /** Simulates nine seconds in the queue, then one second per step. */
  const run = async ([trajectory]: readonly Trajectory[], { onStart, onStep }: RunOptions) => {
    nowMs += 9000;
    onStart?.();
    for (let step = 1; step <= trajectory.total; step++) {
      nowMs += 1000;
      trajectory.advance(new Float32Array(3 * 8 * 8), 0);
      onStep?.(step, trajectory.total);
    }
  };
  const model = modelWith(run);
  const conditioning = { x0: new Float32Array(3 * 8 * 8), mask: new Float32Array(8 * 8).fill(1) };
  const elapsed: number[] = [];
  const { timings } = await denoise(
    model,
    wholeSpecs(model, conditioning, { seed: 1, numImages: 1, sampler: 'ddim', steps: 4, eta: 0 }),
    { onProgress: ({ elapsedMs }) => elapsed.push(elapsedMs) },
  );
  expect(elapsed).toEqual([1000, 2000, 3000, 4000]);
  expect(timings).toEqual({ queueMs: 9000, denoiseMs: 4000 });
});

test.each([
  ['inpaint', 8],
  ['inpaint', 264], // in a thread
  ['none', 8], // RePaint
  ['none', 136],
] as const)("conditioning %s at %i px visits the timesteps of the card's spacing", async (conditioning, resolution) => {
  const visited: number[] = [];
  const run = async ([trajectory]: readonly Trajectory[]) => {
    const prediction = new Float32Array(3 * resolution ** 2);
    while (trajectory.step < trajectory.total) {
      visited.push(trajectory.input(0).t);
      await trajectory.advance(prediction, 0);
    }
  };
  const pixels = resolution ** 2;
  const known = { x0: new Float32Array(3 * pixels), mask: new Float32Array(pixels).fill(1) };
  const parameters = { seed: 1, numImages: 1, sampler: 'dpmpp_2m', steps: 4, eta: 0 } as const;
  const sampling = baseSampling.parse({ spacing: 'log_snr', final_timestep: 3 });
  const model = modelWith(run, { conditioning, resolution, sampling });
  await denoise(model, wholeSpecs(model, known, parameters), {});
  expect(visited).toEqual(
    timesteps(scheduleFrom({ type: 'cosine', T: 100, s: 0.008, abar_min: 1e-5 }), 4, 'log_snr', 3),
  );
});

test("an unconditional model fills holes with its card's resampling, and clips as its card says", async () => {
  const totals: number[] = [];
  const largest: number[] = [];
  const run = async ([trajectory]: readonly Trajectory[]) => {
    totals.push(trajectory.total);
    const prediction = new Float32Array(3 * 64).fill(-9);
    while (trajectory.step < trajectory.total) await trajectory.advance(prediction, 0);
    largest.push(Math.max(...(trajectory as RepaintTrajectory).x0));
  };
  const known = { x0: new Float32Array(3 * 64), mask: new Float32Array(64).fill(1, 0, 32) };
  const parameters = { seed: 1, numImages: 1, sampler: 'ddpm', steps: 8, eta: 0 } as const;
  for (const given of [{}, { resampling: { jump: 2, times: 4 } }, { clip: false }]) {
    const sampling = baseSampling.parse(given);
    const model = modelWith(run, { conditioning: 'none', resolution: 8, sampling });
    await denoise(model, wholeSpecs(model, known, parameters), {});
  }
  expect(totals).toEqual([18, 26, 18]);
  expect(largest.map((value) => value > 1)).toEqual([false, false, true]);
});

import { Worker } from 'node:worker_threads';
import { expect, onTestFinished, test, vi } from 'vitest';
import { denoise } from '../../src/generation/denoise.ts';
import { createTrajectory, type WholeSpec } from '../../src/generation/trajectories/create.ts';
import { ThreadedTrajectory } from '../../src/generation/trajectories/threaded.ts';
import { wholeSpecs } from '../../src/generation/whole.ts';
import type { ServedModel } from '../../src/registry/served-model.ts';
import type { RunOptions, Scheduler } from '../../src/scheduler/scheduler.ts';
import type { Trajectory } from '../../src/scheduler/trajectory.ts';
import { FakeRegistry } from '../http/fake-app.ts';
import { simulate } from '../scheduler/simulation.ts';

const R = 8;

function spec(changes: Partial<WholeSpec> = {}): WholeSpec {
  const mask = Float32Array.from({ length: R * R }, (_, i) => (i % 3 ? 1 : 0));
  return {
    method: 'inpaint',
    schedule: { type: 'cosine', T: 100, s: 0.008, abar_min: 1e-5 },
    prediction: 'v',
    sampler: { name: 'ddpm', steps: 6, eta: 0 },
    conditioning: { x0: new Float32Array(3 * R * R).fill(0.5), mask },
    resampling: { jump: 2, times: 2 },
    seed: 7,
    candidate: 2,
    ...changes,
  };
}

/** A prediction that depends on every input value, as a row within a larger batch. */
function predict(x: Float32Array, t: number): Float32Array {
  const batch = new Float32Array(9 * R * R);
  for (let i = 0; i < 3 * R * R; i++) batch[3 * R * R + i] = Math.sin(3 * x[i] + t);
  return batch.subarray(3 * R * R, 6 * R * R);
}

test.each<[string, Partial<WholeSpec>]>([
  ['ddpm', {}],
  ['ddim with fresh noise', { sampler: { name: 'ddim', steps: 5, eta: 1 } }],
  ['dpmpp_2m', { sampler: { name: 'dpmpp_2m', steps: 7, eta: 0 } }],
  [
    'log_snr spacing',
    { sampler: { name: 'dpmpp_2m', steps: 7, eta: 0, spacing: 'log_snr', finalTimestep: 3 } },
  ],
  ['RePaint', { method: 'none', sampler: { name: 'ddpm', steps: 12, eta: 0 } }],
])('%s in a thread gives the same bytes as on the main thread', async (_, changes) => {
  const here = createTrajectory(spec(changes));
  const there = await ThreadedTrajectory.create(spec(changes));
  expect(there.total).toBe(here.total);
  while (here.step < here.total) {
    const { x, t } = here.input(0);
    expect(there.input(0)).toEqual({ x, t });
    here.advance(predict(x, t), 0);
    await there.advance(predict(x, t), 0);
    expect(await there.view('fills')).toEqual(here.fills);
    expect(await there.view('preview')).toEqual(here.preview);
    expect(await there.view('noisy')).toEqual(here.noisy);
    expect([there.noiseLevel, here.noiseLevel.timestep]).toEqual([here.noiseLevel, t]);
    expect(there.step).toBe(here.step);
  }
  there.close();
});

test('what fails in the thread is rejected, and the thread goes on', async () => {
  await expect(
    ThreadedTrajectory.create(spec({ sampler: { name: 'ddim', steps: 101, eta: 0 } })),
  ).rejects.toThrow('steps must be a whole number from 1 to 100');
  const trajectory = await ThreadedTrajectory.create(spec());
  trajectory.close();
  await expect(trajectory.view('fills')).rejects.toThrow('there is no trajectory');
});

test('when the thread has ended, its trajectories reject, and new ones have a new thread', async () => {
  const posted = vi.spyOn(Worker.prototype, 'postMessage');
  onTestFinished(() => posted.mockRestore());
  const trajectory = await ThreadedTrajectory.create(spec());
  await (posted.mock.contexts[0] as Worker).terminate();
  await expect(trajectory.view('fills')).rejects.toThrow('the thread of trajectories exited with 1');
  await expect(trajectory.advance(new Float32Array(3 * R * R), 0)).rejects.toThrow('exited');
  const next = await ThreadedTrajectory.create(spec());
  expect(await next.view('fills')).toHaveLength(1);
  next.close();
});

test.each([
  ['inpaint', 256, false],
  ['inpaint', 264, true],
  ['none', 128, false],
  ['none', 136, true],
] as const)('conditioning %s at %i px is denoised in a thread: %s', async (method, resolution, threaded) => {
  const fake = new FakeRegistry().get();
  const card = { ...fake.card, resolution, conditioning: method };
  let trajectories: readonly Trajectory[] = [];
  const run = async (given: readonly Trajectory[], _: RunOptions) => {
    trajectories = given;
    const prediction = new Float32Array(3 * resolution ** 2);
    for (const each of given) while (each.step < each.total) await each.advance(prediction, 0);
  };
  const scheduler = { run } as unknown as Scheduler;
  const engine = fake.engine as NonNullable<ServedModel['engine']>;
  const model: ServedModel = { ...fake, card, open: async () => ({ scheduler, engine }) };
  const pixels = resolution ** 2;
  const conditioning = { x0: new Float32Array(3 * pixels), mask: new Float32Array(pixels).fill(1) };
  const parameters = { seed: 1, numImages: 2, sampler: 'ddim', steps: 2, eta: 0 } as const;
  const { candidates } = await denoise(model, wholeSpecs(model, conditioning, parameters), {});
  expect(trajectories.map((each) => each instanceof ThreadedTrajectory)).toEqual([threaded, threaded]);
  expect(candidates.map(([{ x0 }]) => x0.length)).toEqual([3 * pixels, 3 * pixels]);
});

test('while a row advances in a thread, the worker evaluates other rows, and nothing is evaluated twice', async () => {
  const { engine, scheduler, submit } = simulate({ workers: 1 });
  let finish = () => {};
  const slow: Trajectory & { step: number } = {
    total: 2,
    step: 0,
    rows: 1,
    network: 'base',
    input: () => ({ x: Float32Array.of(0), t: 0 }),
    advance: () =>
      new Promise((resolve) => {
        finish = () => {
          slow.step++;
          resolve();
        };
      }),
  };
  const running = scheduler.run([slow]);
  await engine.run(15); // evaluated, and advancing from now on
  const other = submit(3);
  await engine.run();
  expect(other.error).toBeUndefined();
  expect(other.probes[0].step).toBe(3);
  expect(engine.batches.filter(([x]) => x === 0)).toHaveLength(1);
  finish();
  await engine.run();
  finish();
  await running;
  expect(engine.batches.filter(([x]) => x === 0)).toHaveLength(2);
});

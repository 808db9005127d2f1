import { afterEach, expect, test, vi } from 'vitest';
import { denoise } from '../../src/generation/denoise.ts';
import { wholeSpecs } from '../../src/generation/whole.ts';
import type { ServedModel } from '../../src/registry/served-model.ts';
import type { RunOptions, Scheduler } from '../../src/scheduler/scheduler.ts';
import type { Trajectory } from '../../src/scheduler/trajectory.ts';
import { FakeRegistry } from '../http/fake-app.ts';

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
  const fake = new FakeRegistry().get();
  const scheduler = { run } as unknown as Scheduler;
  const engine = fake.engine as NonNullable<ServedModel['engine']>;
  const model: ServedModel = { ...fake, open: async () => ({ scheduler, engine }) };
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

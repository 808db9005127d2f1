import { expect, test, vi } from 'vitest';
import { readConfig } from '../../src/config/read.ts';
import { generationLimits } from '../../src/generation/prepare.ts';
import { pictureBudget } from '../../src/image/budget.ts';
import { JobRunner } from '../../src/jobs/runner.ts';
import { createMetrics } from '../../src/metrics.ts';
import { FakeRegistry } from '../http/fake-app.ts';

test('a job that is cancelled while it waits for memory gives back its room in the queue', async () => {
  const registry = new FakeRegistry();
  const { admission } = registry.get();
  const runner = new JobRunner(registry, createMetrics(), generationLimits(readConfig({})));
  const others = pictureBudget.reserve(pictureBudget.holdable);
  const waiting = vi.spyOn(pictureBudget, 'whenRoom');
  const controller = new AbortController();
  const { signal } = controller;
  const performed = runner.perform(
    { id: 'a', task: 'sample', fields: { seed: 1, num_images: 1 } },
    { signal, onProgress: () => {} },
  );
  await expect.poll(() => waiting.mock.calls.length).toBe(1);
  expect(admission.idle).toBe(false);
  controller.abort(new Error('cancelled'));
  await expect(performed).rejects.toThrow('cancelled');
  expect(admission.idle).toBe(true);
  others.release();
  expect(pictureBudget.held).toBe(0);
});

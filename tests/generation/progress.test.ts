import { expect, test } from 'vitest';
import type { Progress } from '../../src/generation/options.ts';
import { type ProgressEvent, ProgressReporter } from '../../src/generation/progress.ts';
import { square } from '../../src/image/picture.ts';

const SIDE = 8;

function progress(step: number, total: number, elapsedMs = 1000 * step): Progress {
  return {
    step,
    total,
    elapsedMs,
    timestep: total - step,
    abar: step / total,
    whole: async () => ({ channels: 3, data: new Uint8Array(3 * SIDE ** 2), ...square(SIDE) }),
    estimate: async () => ({ x0: new Float32Array(3 * SIDE ** 2), ...square(SIDE) }),
    noisy: async () => ({ x0: new Float32Array(3 * SIDE ** 2).fill(2), ...square(SIDE) }),
  };
}

test('events arrive in step order, although encoding a preview takes longer', async () => {
  const sent: ProgressEvent[] = [];
  const reporter = new ProgressReporter({ preview_every: 2 }, (event) => sent.push(event));
  for (let step = 1; step <= 7; step++) reporter.report(progress(step, 7));
  await reporter.flush();
  expect(sent.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(sent.flatMap(({ step, preview }) => (preview ? step : []))).toEqual([2, 4, 6]);
});

test('eta_ms extrapolates the average pace since the first evaluation', () => {
  const sent: ProgressEvent[] = [];
  const reporter = new ProgressReporter({ preview_every: 0 }, (event) => sent.push(event));
  reporter.report(progress(1, 4, 1000));
  reporter.report(progress(2, 4, 3000));
  reporter.report(progress(4, 4, 4000));
  expect(sent).toEqual([
    { step: 1, of: 4, eta_ms: 3000, timestep: 3, abar: 0.25 },
    { step: 2, of: 4, eta_ms: 3000, timestep: 2, abar: 0.5 },
    { step: 4, of: 4, eta_ms: 0, timestep: 0, abar: 1 },
  ]);
});

test('events omit the preview if encoding cannot keep up, and stay in order', async () => {
  const sent: ProgressEvent[] = [];
  const reporter = new ProgressReporter({ preview_every: 1 }, (event) => sent.push(event));
  for (let step = 1; step <= 50; step++) reporter.report(progress(step, 50));
  await reporter.flush();
  expect(sent.map(({ step }) => step)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  expect(sent.filter(({ preview }) => preview)).toHaveLength(8);
});

test('large previews are made one at a time, and take a fifth of the time at most', async () => {
  let now = 0;
  const sent: ProgressEvent[] = [];
  const reporter = new ProgressReporter(
    { preview_every: 1 },
    (event) => sent.push(event),
    () => now,
  );
  const large = (step: number, startMs: number) => {
    now = startMs;
    const estimate = async () => {
      now += 100; // what it takes
      return { x0: new Float32Array(3 * 257 * 256), width: 257, height: 256 };
    };
    reporter.report({ ...progress(step, 6), estimate });
  };
  large(1, 0);
  await reporter.flush();
  large(2, 499);
  large(3, 500);
  large(4, 10_000); // the third is not done yet
  await reporter.flush();
  large(5, 100_000);
  await reporter.flush();
  expect(sent.flatMap(({ step, preview }) => (preview ? step : []))).toEqual([1, 3, 5]);
  expect(sent.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]);
});

test('on request, a preview comes with the noisy picture that it was estimated from, if there is one', async () => {
  const sent: ProgressEvent[] = [];
  const reporter = new ProgressReporter({ preview_every: 2, preview_noisy: true }, (event) =>
    sent.push(event),
  );
  for (const step of [1, 2, 3]) reporter.report(progress(step, 4));
  reporter.report({ ...progress(4, 4), noisy: async () => undefined });
  await reporter.flush();
  expect(sent.map(({ noisy }) => noisy?.slice(0, 23))).toEqual([
    undefined,
    'data:image/webp;base64,',
    undefined,
    undefined,
  ]);
  expect(sent[3].preview).toBeDefined();
  expect(sent[1].noisy).not.toBe(sent[1].preview);
});

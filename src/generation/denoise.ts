import { createSampler } from '../diffusion/samplers/index.ts';
import { scheduleFrom } from '../diffusion/schedule.ts';
import type { ServedModel } from '../registry/served-model.ts';
import { startSpan } from '../tracing.ts';
import { ConditionalTrajectory, type Conditioning } from './trajectories/conditional.ts';
import { RepaintTrajectory } from './trajectories/repaint.ts';
import type { GenerationOptions, SamplingParameters, Timings } from './types.ts';

export interface Denoised {
  /** [3, R, R] in -1..1 for each candidate. */
  candidates: Float32Array[];
  timings: Pick<Timings, 'queueMs' | 'denoiseMs'>;
}

/**
 * Takes all candidates of one request from noise to pictures, through the model's scheduler. Rejects as Scheduler.run
 * does, and with EngineError when the model cannot be loaded.
 */
export async function denoise(
  model: ServedModel,
  conditioning: Conditioning,
  parameters: SamplingParameters,
  { signal, priority, reservation, onProgress }: GenerationOptions,
): Promise<Denoised> {
  const { seed, numImages, sampler: name, steps, eta } = parameters;
  const { card } = model;
  const schedule = scheduleFrom(card.schedule);
  const arrived = performance.now();
  const { scheduler } = await model.open();
  const sampler = createSampler(name, { schedule, prediction: card.prediction, steps, eta });
  const trajectories = Array.from({ length: numImages }, (_, candidate) =>
    card.conditioning === 'inpaint'
      ? new ConditionalTrajectory(sampler, conditioning, seed, candidate)
      : new RepaintTrajectory(sampler, schedule, conditioning, seed, candidate),
  );
  let started = arrived;
  const queue = startSpan('queue');
  const run = scheduler.run(trajectories, {
    signal,
    priority,
    reservation,
    onStart: () => {
      started = performance.now();
      queue.end();
    },
    onStep: (step, total) =>
      onProgress?.({
        step,
        total,
        elapsedMs: performance.now() - started,
        estimate: () => trajectories[0].x0,
      }),
  });
  await run.finally(() => {
    if (queue.isRecording()) queue.end(); // it never started; ending a span twice logs a warning
  });
  return {
    candidates: trajectories.map(({ x0 }) => x0),
    timings: { queueMs: started - arrived, denoiseMs: performance.now() - started },
  };
}

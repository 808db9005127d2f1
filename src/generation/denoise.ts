import { createSampler } from '../diffusion/samplers/index.ts';
import { scheduleFrom } from '../diffusion/schedule.ts';
import type { ServedModel } from '../registry/served-model.ts';
import { startSpan } from '../tracing.ts';
import { ConditionalTrajectory, type Known } from './trajectories/conditional.ts';
import { RepaintTrajectory } from './trajectories/repaint.ts';
import type { Options, SamplingParameters, Timings } from './types.ts';

export interface Denoised {
  /** [3, R, R] in -1..1, a candidate each. */
  candidates: Float32Array[];
  timings: Pick<Timings, 'queueMs' | 'denoiseMs'>;
}

/** Takes all candidates of one request from noise to pictures, through the model's scheduler. */
export async function denoise(
  model: ServedModel,
  known: Known,
  parameters: SamplingParameters,
  { signal, priority, place, onProgress }: Options,
): Promise<Denoised> {
  const { seed, numImages, sampler: name, steps, eta } = parameters;
  const { prediction, conditioning } = model.card;
  const schedule = scheduleFrom(model.card.schedule);
  const arrived = performance.now();
  const { scheduler } = await model.open();
  const sampler = createSampler(name, { schedule, prediction, steps, eta });
  const trajectories = Array.from({ length: numImages }, (_, image) =>
    conditioning === 'inpaint'
      ? new ConditionalTrajectory(sampler, known, seed, image)
      : new RepaintTrajectory(sampler, schedule, known, seed, image),
  );
  let started = arrived;
  const queue = startSpan('queue');
  const run = scheduler.run(trajectories, {
    signal,
    priority,
    place,
    onStart: () => {
      started = performance.now();
      queue.end();
    },
    onStep: (step, of) => onProgress?.({ step, of, estimate: () => trajectories[0].x0 }),
  });
  await run.finally(() => {
    if (queue.isRecording()) queue.end(); // it never began; a span that has ended complains of a second end
  });
  return {
    candidates: trajectories.map(({ x0 }) => x0),
    timings: { queueMs: started - arrived, denoiseMs: performance.now() - started },
  };
}

import type { ServedModel } from '../registry/served-model.ts';
import { mapInSlices } from '../scheduler/time-slices.ts';
import { startSpan } from '../tracing.ts';
import type { Conditioning } from './trajectories/conditional.ts';
import { createTrajectory, type DenoisingTrajectory, type TrajectorySpec } from './trajectories/create.ts';
import { ThreadedTrajectory } from './trajectories/threaded.ts';
import type { GenerationOptions, SamplingParameters, Timings } from './types.ts';

/**
 * Largest resolution, in pixels, at which trajectories run on the main thread, so that a health probe is answered within
 * 50 ms. A row of a ddpm step takes 15 ms at 256 px and 65 ms at 512 px (bench/http-process.ts); RePaint, for
 * unconditional models, draws noise up to three times a step.
 */
export const MAX_MAIN_THREAD_RESOLUTION = { inpaint: 256, none: 128 } as const;

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
  const arrived = performance.now();
  const { scheduler } = await model.open();
  const trajectories = await createTrajectories(model, conditioning, parameters);
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
        estimate: () => estimateOf(trajectories[0]),
      }),
  });
  try {
    await run;
    const candidates = await Promise.all(trajectories.map(estimateOf));
    return {
      candidates,
      timings: { queueMs: started - arrived, denoiseMs: performance.now() - started },
    };
  } finally {
    if (queue.isRecording()) queue.end(); // it never started; ending a span twice logs a warning
    for (const trajectory of trajectories) if (trajectory instanceof ThreadedTrajectory) trajectory.close();
  }
}

/** A trajectory for each candidate, in a worker thread for large models. */
async function createTrajectories(
  { card }: ServedModel,
  conditioning: Conditioning,
  { seed, numImages, sampler: name, steps, eta }: SamplingParameters,
): Promise<(DenoisingTrajectory | ThreadedTrajectory)[]> {
  const { spacing, final_timestep: finalTimestep } = card.sampling;
  const specs = Array.from(
    { length: numImages },
    (_, candidate): TrajectorySpec => ({
      method: card.conditioning,
      schedule: card.schedule,
      prediction: card.prediction,
      sampler: { name, steps, eta, spacing, finalTimestep },
      conditioning,
      seed,
      candidate,
    }),
  );
  if (card.resolution > MAX_MAIN_THREAD_RESOLUTION[card.conditioning])
    return Promise.all(specs.map(ThreadedTrajectory.create));
  return mapInSlices(specs, createTrajectory);
}

/** The trajectory's current estimate of x_0, or a promise of it; the result when it is finished. */
function estimateOf(
  trajectory: DenoisingTrajectory | ThreadedTrajectory,
): Float32Array | Promise<Float32Array> {
  return trajectory instanceof ThreadedTrajectory ? trajectory.estimate() : trajectory.x0;
}

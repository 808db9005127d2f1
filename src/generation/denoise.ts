import type { ServedModel } from '../registry/served-model.ts';
import { mapInSlices } from '../scheduler/time-slices.ts';
import { startSpan } from '../tracing.ts';
import type { GenerationOptions } from './options.ts';
import type { Timings } from './result.ts';
import type { NoiseLevel } from './trajectories/conditioning.ts';
import {
  createTrajectory,
  type DenoisingTrajectory,
  type TrajectorySpec,
  type Views,
} from './trajectories/create.ts';
import type { Canvas } from './trajectories/enlarge.ts';
import type { Shown } from './trajectories/shown.ts';
import { ThreadedTrajectory } from './trajectories/threaded.ts';

/**
 * Largest pictures, in pixels, whose trajectories run on the main thread, so that a health probe is answered within 50 ms.
 * A row of a ddpm step takes 15 ms at 256 px and 65 ms at 512 px (bench/http-process.ts); RePaint, for unconditional
 * models, draws noise up to three times a step. For windows, the sampler works on the pixels of the hole alone. But their
 * canvases are read and copied, and one thin scratch across a photograph makes a canvas as large as the photograph.
 */
const MAX_MAIN_THREAD_PIXELS = {
  inpaint: 256 ** 2,
  none: 128 ** 2,
  windows: { hole: 128 ** 2, canvas: 256 ** 2 },
} as const;

export interface Denoised {
  /** The pictures of each candidate: one, or one for each region of a plan. */
  candidates: Canvas[][];
  timings: Pick<Timings, 'queueMs' | 'denoiseMs'>;
}

/** What denoise() reports while it runs; see Progress. */
export interface DenoisingProgress {
  step: number;
  total: number;
  elapsedMs: number;
  /** Of the first candidate's last step. */
  noiseLevel: NoiseLevel;
  /** Of the first candidate: see Views. */
  fills(): Promise<Canvas[]>;
  preview(): Promise<Shown>;
  noisy(): Promise<Shown | undefined>;
}

export interface DenoisingOptions extends Omit<GenerationOptions, 'onProgress'> {
  onProgress?: (progress: DenoisingProgress) => void;
}

/**
 * Takes all candidates of one request from noise to pictures, through the model's scheduler. `specs`: one for each
 * candidate. Rejects as Scheduler.run does, and with EngineError when the model cannot be loaded.
 */
export async function denoise(
  model: ServedModel,
  specs: readonly TrajectorySpec[],
  { signal, priority, reservation, onProgress }: DenoisingOptions,
): Promise<Denoised> {
  const arrived = performance.now();
  const { scheduler } = await model.open();
  const trajectories = await createTrajectories(specs);
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
        noiseLevel: trajectories[0].noiseLevel,
        fills: () => viewOf(trajectories[0], 'fills'),
        preview: () => viewOf(trajectories[0], 'preview'),
        noisy: () => viewOf(trajectories[0], 'noisy'),
      }),
  });
  try {
    await run;
    const candidates = await Promise.all(trajectories.map((each) => viewOf(each, 'fills')));
    return {
      candidates,
      timings: { queueMs: started - arrived, denoiseMs: performance.now() - started },
    };
  } finally {
    if (queue.isRecording()) queue.end(); // it never started; ending a span twice logs a warning
    for (const trajectory of trajectories) if (trajectory instanceof ThreadedTrajectory) trajectory.close();
  }
}

/** A trajectory for each candidate, in a worker thread for large pictures. */
async function createTrajectories(
  specs: readonly TrajectorySpec[],
): Promise<(DenoisingTrajectory | ThreadedTrajectory)[]> {
  if (isLarge(specs[0])) return createThreaded(specs);
  return mapInSlices(specs, createTrajectory);
}

/** Rejects with the first error, after those that were created have been closed. */
async function createThreaded(specs: readonly TrajectorySpec[]): Promise<ThreadedTrajectory[]> {
  const results = await Promise.allSettled(specs.map(ThreadedTrajectory.create));
  const created = results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  const failed = results.find((result) => result.status === 'rejected');
  if (!failed) return created;
  for (const trajectory of created) trajectory.close();
  throw failed.reason;
}

/** Whether its steps would keep the event loop busy. Says so without reading any pixels: there may be as many as in a photograph. */
function isLarge(spec: TrajectorySpec): boolean {
  if (spec.method !== 'windows') return spec.conditioning.mask.length > MAX_MAIN_THREAD_PIXELS[spec.method];
  const most = MAX_MAIN_THREAD_PIXELS.windows;
  return spec.stages.some(({ levels }) => {
    const hole = levels.reduce((sum, { input }) => sum + input.holePixels, 0);
    const canvas = levels.reduce((sum, { input }) => sum + input.mask.length, 0);
    return hole > most.hole || canvas > most.canvas;
  });
}

async function viewOf<What extends keyof Views>(
  trajectory: DenoisingTrajectory | ThreadedTrajectory,
  what: What,
): Promise<Views[What]> {
  return trajectory instanceof ThreadedTrajectory ? trajectory.view(what) : trajectory[what];
}

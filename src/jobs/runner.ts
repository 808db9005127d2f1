import { generate } from '../generation/generate.ts';
import { type GenerationLimits, prepare } from '../generation/prepare.ts';
import { ProgressReporter } from '../generation/progress.ts';
import { resolve } from '../generation/resolve.ts';
import type { Room } from '../image/budget.ts';
import type { Metrics } from '../metrics.ts';
import type { ModelRegistry } from '../registry/registry.ts';
import { tracedApart } from '../tracing.ts';
import { generationRequest, type JobRequest, type JobResult, type JobRunOptions } from './job.ts';
import { PreparedInputs } from './prepared-inputs.ts';

/**
 * Carries jobs out: the same flow as a request over HTTP, except that a job waits for room in the queue, and for memory,
 * where a request is refused.
 */
export class JobRunner {
  /** Filled by whoever checks a job's pictures before it is submitted. */
  readonly preparedInputs: PreparedInputs;
  readonly #registry: ModelRegistry;
  readonly #metrics: Metrics;
  readonly #limits: GenerationLimits;

  constructor(registry: ModelRegistry, metrics: Metrics, limits: GenerationLimits) {
    this.#registry = registry;
    this.#metrics = metrics;
    this.#limits = limits;
    this.preparedInputs = new PreparedInputs(limits);
  }

  readonly perform = (job: JobRequest, options: JobRunOptions): Promise<JobResult> =>
    tracedApart('job', () => this.#perform(job, options));

  async #perform(job: JobRequest, { signal, onProgress }: JobRunOptions): Promise<JobResult> {
    const resolved = resolve(this.#registry, generationRequest(job));
    const { model, parameters, request } = resolved;
    await model.open(); // before it takes room in the queue: loading takes a while
    const reservation = await model.admission.whenRoom(parameters.numImages, signal);
    let room: Room | undefined;
    try {
      const prepared =
        this.preparedInputs.take(job.id, model) ?? (await prepare(resolved, this.#limits, { wait: signal }));
      room = prepared.room;
      const progress = new ProgressReporter(request, onProgress);
      const options = { signal, reservation, onProgress: progress.report };
      const { files, format, fields } = await generate(this.#metrics, prepared, options);
      await progress.flush();
      return { files, mediaType: `image/${format}`, answer: fields };
    } finally {
      room?.release();
      reservation.release();
    }
  }
}

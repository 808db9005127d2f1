import { generate } from '../generation/generate.ts';
import { prepare } from '../generation/prepare.ts';
import { ProgressReporter } from '../generation/progress.ts';
import type { GenerationRequest } from '../generation/request.ts';
import { type ResolvedRequest, resolve } from '../generation/resolve.ts';
import type { Room } from '../image/budget.ts';
import type { Limits } from '../image/decode.ts';
import type { Metrics } from '../metrics.ts';
import { type ModelRegistry, UnknownModelError } from '../registry/registry.ts';
import { tracedApart } from '../tracing.ts';
import type { JobRequest, JobResult, PerformOptions } from './job.ts';
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
  readonly #limits: Required<Limits>;

  constructor(registry: ModelRegistry, metrics: Metrics, limits: Required<Limits>) {
    this.#registry = registry;
    this.#metrics = metrics;
    this.#limits = limits;
    this.preparedInputs = new PreparedInputs(limits);
  }

  readonly perform = (job: JobRequest, options: PerformOptions): Promise<JobResult> =>
    tracedApart('job', () => this.#perform(job, options));

  async #perform(job: JobRequest, { signal, onProgress }: PerformOptions): Promise<JobResult> {
    const resolved = await this.#resolve(generationRequest(job));
    const { model, parameters, request } = resolved;
    const { scheduler } = await model.open();
    const reservation = await scheduler.admission.whenRoom(parameters.numImages, signal);
    let room: Room | undefined;
    try {
      const input =
        this.preparedInputs.take(job.id) ?? (await prepare(resolved, this.#limits, { wait: signal }));
      room = input.room;
      const prepared = { ...input, model }; // a reload may have replaced the model since the job was accepted
      const progress = new ProgressReporter(model.card.resolution, request.preview_every, onProgress);
      const options = { signal, reservation, onProgress: progress.report };
      const { files, format, fields } = await generate(this.#metrics, prepared, options);
      await progress.flush();
      return { files, mediaType: `image/${format}`, answer: fields };
    } finally {
      room?.release();
      reservation.release();
    }
  }

  /** Another replica may have accepted the job for a version that this one has not loaded yet. */
  async #resolve(request: GenerationRequest): Promise<ResolvedRequest> {
    try {
      return resolve(this.#registry, request);
    } catch (error) {
      if (!(error instanceof UnknownModelError)) throw error;
      await this.#registry.reload();
      return resolve(this.#registry, request);
    }
  }
}

/** The request that a job was made from; it was validated when the job was accepted. */
function generationRequest({ task, fields, image, mask }: JobRequest): GenerationRequest {
  return { ...fields, task, image, mask } as GenerationRequest;
}

import { EngineError } from '../engine/engine.ts';
import { distance } from '../image/drift.ts';
import type { Metrics } from '../metrics.ts';
import { QueueFullError } from '../scheduler/admission.ts';
import { evaluationsOf, workOf } from './estimate.ts';
import type { PreparedInpaint, PreparedRequest } from './prepare.ts';
import type { InpaintResult, SampleResult } from './result.ts';

/** Runs `work` and records its duration and steps, or the reason of its failure. */
export async function withMetrics<Result extends SampleResult>(
  metrics: Metrics,
  prepared: PreparedRequest,
  signal: AbortSignal | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  const { request, model, parameters } = prepared;
  const { task } = request;
  const { sampler } = parameters;
  const started = performance.now();
  const result = await work().catch((error) => {
    const reason = signal?.aborted ? 'cancelled' : failureReason(error);
    metrics.requestFailures.inc({ task, model: model.ref, reason });
    throw error;
  });
  metrics.steps.inc({ model: model.ref, sampler }, evaluationsOf(workOf(prepared)));
  metrics.requestSeconds.observe(
    { task, model: model.ref, sampler, engine: model.engine?.engine },
    (performance.now() - started) / 1000,
  );
  return result;
}

function failureReason(error: unknown): string {
  if (error instanceof EngineError) return 'engine-failure';
  if (error instanceof QueueFullError) return 'queue-full';
  return 'internal-error';
}

/** Records the size of the picture and of its hole, once for each request that is generated. */
export function observeInput(metrics: Metrics, { input: { picture, hole } }: PreparedInpaint): void {
  metrics.pictureMegapixels.observe((picture.width * picture.height) / 1e6);
  metrics.maskFraction.observe(hole.fraction);
}

/** Records how far the known pixels are from the model's training set. */
export function observeDrift(
  metrics: Metrics,
  { model }: PreparedRequest,
  { features }: InpaintResult,
): void {
  if (!features) return;
  metrics.inputBrightness.observe((features.luma + 1) / 2);
  const { statistics } = model.card.data;
  if (statistics) metrics.inputDistance.observe({ model: model.ref }, distance(features, statistics));
}

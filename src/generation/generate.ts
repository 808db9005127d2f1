import type { Precision } from '../engine/engine.ts';
import { base64 } from '../image/base64.ts';
import type { OutputFormat } from '../image/picture.ts';
import type { Plan } from '../image/regions/plan.ts';
import { toPicture } from '../image/regions/windows.ts';
import { encodeMask, encodePicture } from '../image/threads.ts';
import type { Metrics } from '../metrics.ts';
import { traced } from '../tracing.ts';
import { inpaint } from './inpaint.ts';
import type { GenerationOptions } from './options.ts';
import type { HoledPicture } from './parameters.ts';
import type { PreparedRequest } from './prepare.ts';
import { reproducibilityFields } from './resolve.ts';
import type { InpaintResult, SampleResult } from './result.ts';
import { sample } from './sample.ts';
import { observeDrift, observeInput, withMetrics } from './telemetry.ts';

/** The result of a request. */
export interface Generated {
  /** An encoded picture for each candidate. */
  files: Uint8Array[];
  format: OutputFormat;
  /** What is known about the pictures, as plain data under the names of the API. */
  fields: { timings_ms: Record<string, number>; precision: Precision; [name: string]: unknown };
}

/**
 * Generates and encodes the pictures of a prepared request. Rejects with QueueFullError, EngineError, or the abort
 * signal's reason.
 */
export async function generate(
  metrics: Metrics,
  prepared: PreparedRequest,
  options: GenerationOptions,
): Promise<Generated> {
  const { request, model, parameters } = prepared;
  const { priority } = request;
  if (!('input' in prepared)) {
    const result = await withMetrics(metrics, prepared, options.signal, () =>
      sample(model, parameters, { ...options, priority, start: prepared.start }),
    );
    const { strength } = prepared.start ?? {};
    return encode(prepared, result, { metadata: { strength } });
  }
  const { strategy, padding, mask_grow, mask_blur, keep_alpha: keepAlpha } = prepared.request;
  const { input, region } = prepared;
  observeInput(metrics, prepared);
  const result = await withMetrics(metrics, prepared, options.signal, () =>
    inpaint(
      model,
      input,
      region,
      { ...parameters, maskBlur: mask_blur, keepAlpha },
      { ...options, priority },
    ),
  );
  observeDrift(metrics, prepared, result);
  return encode(prepared, result, {
    metadata: { strategy, padding, mask_grow, mask_blur },
    fields: await inpaintFields(input, result),
  });
}

interface TaskResult {
  /** The task's own parameters, for the pictures' metadata. */
  metadata?: object;
  /** What the task adds to the answer. */
  fields?: object;
}

async function encode(
  prepared: PreparedRequest,
  { pictures, timings }: SampleResult,
  { metadata, fields }: TaskResult,
): Promise<Generated> {
  const { request, format, size } = prepared;
  const { quality } = request;
  const exif = request.task === 'inpaint' && request.metadata === 'keep';
  const reproducibility = reproducibilityFields(prepared);
  const precision = prepared.model.engine?.precision ?? 'fp32';
  const started = performance.now();
  const files = await traced('encode', () =>
    Promise.all(
      pictures.map((picture, candidate) =>
        encodePicture(picture, {
          format,
          quality,
          size,
          exif,
          metadata: { ...reproducibility, precision, ...metadata, candidate },
        }),
      ),
    ),
  );
  const timings_ms = {
    decode: Math.round(prepared.decodeMs),
    queue: Math.round(timings.queueMs),
    denoise: Math.round(timings.denoiseMs),
    composite: Math.round(timings.compositeMs),
    encode: Math.round(performance.now() - started),
  };
  return { files, format, fields: { ...reproducibility, precision, format, timings_ms, ...fields } };
}

async function inpaintFields({ hole }: HoledPicture, { region, box, uncertainty }: InpaintResult) {
  return {
    strategy: region.strategy,
    box,
    plan: region.strategy === 'windows' ? planFields(region.plan) : undefined,
    mask_fraction: hole.fraction,
    uncertainty: uncertainty && base64(await encodeMask(uncertainty)),
  };
}

/** A plan as plain data, under the names of the API. */
function planFields({ regions, evaluations }: Plan) {
  return {
    evaluations,
    regions: regions.map(({ levels }) => ({
      levels: levels.map(({ level, network, canvas, windows, steps }) => ({
        network,
        steps,
        scale: 1 / 2 ** level,
        box: toPicture(canvas, level),
        windows: windows.map((window) => toPicture(window, level)),
      })),
    })),
  };
}

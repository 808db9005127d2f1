import type { Parts } from '../http/dependencies.ts';
import type { Form } from '../http/negotiate.ts';
import { fieldProblem } from '../http/problem.ts';
import { base64, type Work } from '../http/reply.ts';
import type { InpaintBody, SampleBody } from '../http/schemas/requests.ts';
import { distance } from '../image/drift.ts';
import { assertFits } from '../image/encode.ts';
import { assertSameSize } from '../image/mask.ts';
import type { Mask, Picture } from '../image/picture.ts';
import { decodeMask, decodePicture, encodeMask, maskFromAlpha, measureHole } from '../image/threads.ts';
import type { Metrics } from '../metrics.ts';
import type { ServedModel } from '../registry/served-model.ts';
import { traced } from '../tracing.ts';
import { inpaint } from './inpaint.ts';
import { sample } from './sample.ts';
import type { InpaintResult, SampleResult, SamplingParameters } from './types.ts';

/** What has been decided about a request before its pictures are looked at. */
export interface Decided {
  model: ServedModel;
  sampling: SamplingParameters;
  form: Form;
  /** The room that is kept for it in the queue. */
  place?: () => void;
}

/** An inpainting request with its pictures decoded and checked. Rejects with PictureError. */
export async function inpaintWork(
  { config, metrics }: Parts,
  body: InpaintBody,
  { model, sampling, form, place }: Decided,
): Promise<Work<InpaintResult>> {
  const limits = { maxPixels: config.MAX_PIXELS };
  const started = performance.now();
  const { picture, mask } = await traced('decode', async () => {
    const picture = await decodePicture(body.image, 'image', limits);
    assertFits(picture, form.format);
    const mask = body.mask ? await decodeMask(body.mask, 'mask', limits) : await alphaMask(picture);
    assertSameSize(picture, mask);
    await measureHole(mask); // a stream of events or a job cannot answer 400 any more
    return { picture, mask };
  });
  metrics.pictureMegapixels.observe((picture.width * picture.height) / 1e6);

  const { strategy, padding, mask_blur: maskBlur, quality, priority } = body;
  const parameters = { ...sampling, strategy, padding, maskBlur };
  return {
    task: 'inpaint',
    model,
    parameters: sampling,
    fields: { strategy, padding, mask_blur: maskBlur },
    form,
    quality,
    previewEvery: body.preview_every,
    decodeMs: performance.now() - started,
    run: async (options) => {
      const result = await inpaint(model, { picture, mask, parameters }, { ...options, priority, place });
      metrics.maskFraction.observe(result.maskFraction);
      observeDrift(metrics, model, result);
      return result;
    },
    describe: async ({ strategy, box, maskFraction, uncertainty }) => ({
      strategy,
      box,
      mask_fraction: maskFraction,
      uncertainty: uncertainty && base64(await encodeMask(uncertainty)),
    }),
  };
}

export function sampleWork(body: SampleBody, { model, sampling, form, place }: Decided): Work<SampleResult> {
  return {
    task: 'sample',
    model,
    parameters: sampling,
    form,
    quality: body.quality,
    previewEvery: body.preview_every,
    decodeMs: 0,
    run: (options) => sample(model, sampling, { ...options, priority: body.priority, place }),
  };
}

function observeDrift(metrics: Metrics, { ref, card }: ServedModel, { features }: InpaintResult) {
  if (!features) return;
  metrics.inputBrightness.observe((features.luma + 1) / 2);
  const { statistics } = card.data;
  if (statistics) metrics.inputDistance.observe({ model: ref }, distance(features, statistics));
}

/** Without a mask the transparent pixels are the hole. */
function alphaMask(picture: Picture): Promise<Mask> | Mask {
  if (picture.channels === 4) return maskFromAlpha(picture);
  throw fieldProblem(
    'empty-mask',
    'mask',
    'send a mask, or an image with transparent pixels where the hole is',
  );
}

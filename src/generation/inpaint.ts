import { tensorToPicture } from '../image/region.ts';
import { composite, knownRegion, uncertainty } from '../image/threads.ts';
import type { ServedModel } from '../registry/served-model.ts';
import { mapInSlices } from '../scheduler/time-slices.ts';
import { traced } from '../tracing.ts';
import { denoise } from './denoise.ts';
import { chooseRegion } from './region.ts';
import type { GenerationOptions, HoledPicture, InpaintParameters, InpaintResult } from './types.ts';

/**
 * Fills the hole: the region around it is brought to the model's resolution, filled, brought back, and pasted inside
 * the hole alone. Every byte outside it stays as it was. Rejects as denoise does.
 */
export async function inpaint(
  model: ServedModel,
  { picture, mask, hole }: HoledPicture,
  parameters: InpaintParameters,
  options: GenerationOptions = {},
): Promise<InpaintResult> {
  const { resolution } = model.card;
  const { strategy, box } = chooseRegion(picture, hole.box, resolution, parameters);
  const { features, ...conditioning } = await knownRegion(picture, mask, box, resolution);
  const { candidates, timings } = await denoise(model, conditioning, parameters, {
    ...options,
    onProgress: (progress) => options.onProgress?.({ ...progress, box }),
  });

  const started = performance.now();
  const { maskBlur } = parameters;
  const pictures = await traced('composite', async () => {
    const fills = await mapInSlices(candidates, (x0) => tensorToPicture(x0, resolution));
    return Promise.all(fills.map((fill) => composite(picture, mask, fill, box, { maskBlur })));
  });
  return {
    pictures,
    strategy,
    box,
    features,
    uncertainty: pictures.length > 1 ? await uncertainty(pictures, mask) : undefined,
    timings: { ...timings, compositeMs: performance.now() - started },
  };
}

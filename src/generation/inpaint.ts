import { assertSameSize } from '../image/mask.ts';
import { tensorToPicture } from '../image/region.ts';
import { composite, knownRegion, measureHole, uncertainty } from '../image/threads.ts';
import type { ServedModel } from '../registry/served-model.ts';
import { traced } from '../tracing.ts';
import { denoise } from './denoise.ts';
import { chooseRegion } from './region.ts';
import type { InpaintRequest, InpaintResult, Options } from './types.ts';

/**
 * Fills the hole: the region around it is brought to the model's resolution, filled, brought back, and pasted inside
 * the hole alone. Every byte outside it comes back as it was.
 *
 * Rejects with PictureError (sizes differ, no hole), and as Scheduler.run does.
 */
export async function inpaint(
  model: ServedModel,
  { picture, mask, parameters }: InpaintRequest,
  options: Options = {},
): Promise<InpaintResult> {
  assertSameSize(picture, mask);
  const hole = await measureHole(mask);
  const { resolution } = model.card;
  const { strategy, box } = chooseRegion(picture, hole.box, resolution, parameters);
  const { features, ...known } = await knownRegion(picture, mask, box, resolution);
  const { candidates, timings } = await denoise(model, known, parameters, {
    ...options,
    onProgress: (progress) => options.onProgress?.({ ...progress, box }),
  });

  const started = performance.now();
  const { maskBlur } = parameters;
  const pictures = await traced('composite', () =>
    Promise.all(
      candidates.map((x0) => composite(picture, mask, tensorToPicture(x0, resolution), box, { maskBlur })),
    ),
  );
  return {
    pictures,
    strategy,
    box,
    maskFraction: hole.fraction,
    features,
    uncertainty: pictures.length > 1 ? await uncertainty(pictures, mask) : undefined,
    timings: { ...timings, compositeMs: performance.now() - started },
  };
}

import type { Picture } from '../image/picture.ts';
import { composite, uncertainty } from '../image/threads.ts';
import type { ServedModel } from '../registry/served-model.ts';
import { traced } from '../tracing.ts';
import { denoise } from './denoise.ts';
import type { GenerationOptions, Preview } from './options.ts';
import type { HoledPicture, InpaintParameters } from './parameters.ts';
import type { Region } from './region.ts';
import type { InpaintResult } from './result.ts';
import type { Canvas } from './trajectories/enlarge.ts';
import type { Shown } from './trajectories/shown.ts';
import { specifyWhole } from './whole.ts';
import { specifyWindows } from './windows.ts';

/**
 * Fills the hole of a picture: `region` says in which windows, or which part of the picture is brought to the model's
 * resolution. The fill is pasted inside the hole alone. Every byte outside it stays as it was. Rejects as denoise does.
 */
export async function inpaint(
  model: ServedModel,
  { picture, mask }: HoledPicture,
  region: Region,
  parameters: InpaintParameters,
  options: GenerationOptions = {},
): Promise<InpaintResult> {
  const { specs, boxOf, fillOf, box, features } =
    region.strategy === 'windows'
      ? await specifyWindows(model, { picture, mask }, region.plan, parameters)
      : await specifyWhole(model, { picture, mask }, region.box, parameters);
  const { candidates, timings } = await denoise(model, specs, {
    ...options,
    onProgress: ({ fills, preview, noisy: noisyCanvas, noiseLevel, ...progress }) => {
      const placed = (shown: Shown): Preview => ({ ...shown, box: boxOf(shown.canvas) });
      const estimate = async () => placed(await preview());
      const noisy = async () => {
        const shown = await noisyCanvas();
        return shown && placed(shown);
      };
      const whole = async () => paste(await fills());
      options.onProgress?.({ ...progress, ...noiseLevel, estimate, noisy, whole });
    },
  });

  const started = performance.now();
  const pictures = await traced('composite', () => Promise.all(candidates.map(paste)));
  return {
    pictures,
    region,
    box,
    features,
    uncertainty: pictures.length > 1 ? await uncertainty(pictures, mask) : undefined,
    timings: { ...timings, compositeMs: performance.now() - started },
  };

  function paste(canvases: Canvas[]): Promise<Picture> {
    const { maskBlur, keepAlpha } = parameters;
    return composite(picture, mask, canvases.map(fillOf), { maskBlur, keepAlpha });
  }
}

import { tensorToPicture } from '../image/region.ts';
import type { ServedModel } from '../registry/served-model.ts';
import { mapInSlices } from '../scheduler/time-slices.ts';
import { denoise } from './denoise.ts';
import type { GenerationOptions } from './options.ts';
import type { SamplingParameters } from './parameters.ts';
import type { SampleResult } from './result.ts';
import type { Start } from './trajectories/create.ts';
import { wholeSpecs } from './whole.ts';

interface SampleOptions extends GenerationOptions {
  start?: Start;
}

/**
 * Pictures from pure noise, or from a picture that is noised in part, R x R: inpainting where everything is hole. Rejects as
 * denoise does.
 */
export async function sample(
  model: ServedModel,
  parameters: SamplingParameters,
  { start, ...options }: SampleOptions = {},
): Promise<SampleResult> {
  const { resolution } = model.card;
  const pixels = resolution * resolution;
  const conditioning = { x0: new Float32Array(3 * pixels), mask: new Float32Array(pixels).fill(1) };
  const { candidates, timings } = await denoise(model, wholeSpecs(model, conditioning, parameters, start), {
    ...options,
    onProgress: ({ fills, preview, noisy, noiseLevel, ...progress }) =>
      options.onProgress?.({
        ...progress,
        ...noiseLevel,
        estimate: preview,
        noisy,
        whole: async () => {
          const [fill] = await fills();
          return tensorToPicture(fill.x0, fill);
        },
      }),
  });
  return {
    pictures: await mapInSlices(candidates, ([fill]) => tensorToPicture(fill.x0, fill)),
    timings: { ...timings, compositeMs: 0 },
  };
}

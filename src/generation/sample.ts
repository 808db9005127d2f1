import { tensorToPicture } from '../image/region.ts';
import type { ServedModel } from '../registry/served-model.ts';
import { mapInSlices } from '../scheduler/time-slices.ts';
import { denoise } from './denoise.ts';
import type { GenerationOptions, SampleResult, SamplingParameters } from './types.ts';

/** Pictures from pure noise, R x R: inpainting where everything is hole. Rejects as denoise does. */
export async function sample(
  model: ServedModel,
  parameters: SamplingParameters,
  options: GenerationOptions = {},
): Promise<SampleResult> {
  const { resolution } = model.card;
  const pixels = resolution * resolution;
  const conditioning = { x0: new Float32Array(3 * pixels), mask: new Float32Array(pixels).fill(1) };
  const { candidates, timings } = await denoise(model, conditioning, parameters, options);
  return {
    pictures: await mapInSlices(candidates, (x0) => tensorToPicture(x0, resolution)),
    timings: { ...timings, compositeMs: 0 },
  };
}

import { inpaint } from '../../src/generation/inpaint.ts';
import type { GenerationOptions } from '../../src/generation/options.ts';
import type { HoledPicture, InpaintParameters } from '../../src/generation/parameters.ts';
import { chooseRegion, type RegionParameters } from '../../src/generation/region.ts';
import { measureHole } from '../../src/image/mask.ts';
import type { Mask, Picture } from '../../src/image/picture.ts';
import type { ServedModel } from '../../src/registry/served-model.ts';

/** A picture with its measured hole. */
export function holed(picture: Picture, mask: Mask): HoledPicture {
  return { picture, mask, hole: measureHole(mask) };
}

export type FillParameters = RegionParameters & InpaintParameters;

/** Fills the hole in the region that the parameters choose. */
export async function fill(
  model: ServedModel,
  input: HoledPicture,
  parameters: FillParameters,
  options?: GenerationOptions,
) {
  const region = await chooseRegion(model, input, parameters, 4000);
  return inpaint(model, input, region, parameters, options);
}

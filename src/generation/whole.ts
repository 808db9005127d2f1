import type { Box } from '../image/picture.ts';
import { knownRegion } from '../image/threads.ts';
import type { ServedModel } from '../registry/served-model.ts';
import type { FillSpec } from './fill-spec.ts';
import type { HoledPicture, SamplingParameters } from './parameters.ts';
import type { Conditioning } from './trajectories/conditioning.ts';
import { type Start, sampledAs, type WholeSpec } from './trajectories/create.ts';

/** Fills a hole in a box of the picture that is brought to the model's resolution. */
export async function specifyWhole(
  model: ServedModel,
  { picture, mask }: Pick<HoledPicture, 'picture' | 'mask'>,
  box: Box,
  parameters: SamplingParameters,
): Promise<FillSpec> {
  const { features, ...conditioning } = await knownRegion(picture, mask, box, model.card.resolution);
  return {
    specs: wholeSpecs(model, conditioning, parameters),
    boxOf: () => box,
    fillOf: ({ x0, width, height }) => ({ x0, width, height, box }),
    box,
    features,
  };
}

/** For each candidate, how a picture at the model's resolution is denoised. */
export function wholeSpecs(
  { card }: ServedModel,
  conditioning: Conditioning,
  parameters: SamplingParameters,
  start?: Start,
): WholeSpec[] {
  const { seed, numImages } = parameters;
  return Array.from({ length: numImages }, (_, candidate) => ({
    method: card.conditioning,
    ...sampledAs(card, parameters),
    conditioning,
    resampling: card.sampling.resampling,
    start,
    seed,
    candidate,
  }));
}

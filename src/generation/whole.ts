import type { Box } from '../image/picture.ts';
import { tensorToPicture } from '../image/region.ts';
import { knownRegion } from '../image/threads.ts';
import type { ServedModel } from '../registry/served-model.ts';
import type { Specified } from './inpaint.ts';
import type { Conditioning } from './trajectories/conditional.ts';
import type { Start, WholeSpec } from './trajectories/create.ts';
import type { HoledPicture, SamplingParameters } from './types.ts';

/** Fills a hole in a box of the picture that is brought to the model's resolution. */
export async function specifyWhole(
  model: ServedModel,
  { picture, mask }: Pick<HoledPicture, 'picture' | 'mask'>,
  box: Box,
  parameters: SamplingParameters,
): Promise<Specified> {
  const { features, ...conditioning } = await knownRegion(picture, mask, box, model.card.resolution);
  return {
    specs: wholeSpecs(model, conditioning, parameters),
    boxOf: () => box,
    patchOf: (fill) => ({ filled: tensorToPicture(fill.x0, fill), box }),
    box,
    features,
  };
}

/** For each candidate, how a picture at the model's resolution is denoised. */
export function wholeSpecs(
  { card }: ServedModel,
  conditioning: Conditioning,
  { seed, numImages, sampler: name, steps, eta }: SamplingParameters,
  start?: Start,
): WholeSpec[] {
  const { spacing, final_timestep: finalTimestep } = card.sampling;
  return Array.from({ length: numImages }, (_, candidate) => ({
    method: card.conditioning,
    schedule: card.schedule,
    prediction: card.prediction,
    sampler: { name, steps, eta, spacing, finalTimestep },
    conditioning,
    start,
    seed,
    candidate,
  }));
}

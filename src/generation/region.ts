import { centredOn, wholeBox } from '../image/box.ts';
import { type Box, type Mask, type Picture, square } from '../image/picture.ts';
import { hasKnown } from '../image/region.ts';
import type { Plan } from '../image/regions/plan.ts';
import { maskToTensor, planRegions } from '../image/threads.ts';
import { type ServedModel, usableNetworks } from '../registry/served-model.ts';
import { InvalidParameterError } from './errors.ts';
import { assertEvaluations, evaluationsOfFill } from './evaluations.ts';
import type { HoledPicture, SamplingParameters, Strategy } from './parameters.ts';

/** How a region is chosen. */
export interface RegionParameters extends Pick<SamplingParameters, 'steps'> {
  strategy: Strategy;
  /** Pixels of context around the hole's bounding box (crop); as many as the hole is large when absent. */
  padding?: number;
}

/** How a hole is brought to the size of the network's pictures. */
export type Region = { strategy: 'windows'; plan: Plan } | WholeRegion;

/** A box of the picture that is brought to the model's resolution. */
interface WholeRegion {
  strategy: 'crop' | 'resize';
  box: Box;
  /** Evaluations for an image. */
  evaluations: number;
}

/** An unconditional model is shown a picture up to this many times its resolution whole: context matters more than sharpness. */
const WHOLE_UP_TO = 4;
/** Largest aspect ratio of a picture that is shown whole: squashed more, it no longer resembles the training pictures. */
const SQUASH = 1.5;

/**
 * Chooses how the hole is filled.
 *
 * - windows: at the picture's own resolution, in windows of the model's size (image/regions/plan.ts). Only for models that
 *   are conditioned on the known pixels.
 * - resize: the whole picture is brought to the model's square.
 * - crop: a square around the hole with `padding` pixels of context (by default as many as the hole is large), never less
 *   than the model's resolution, moved to lie within the picture, and cut off where the picture is smaller.
 * - auto: windows, except for pictures that are not larger than one, and for unconditional models; then resize for
 *   pictures that lose little by it, and crop for large and elongated ones.
 *
 * Throws InvalidParameterError where a candidate would need more than `maxEvaluations`.
 * With auto, a hole whose windows need more is filled at a coarser level.
 */
export async function chooseRegion(
  model: ServedModel,
  { picture, mask, hole }: HoledPicture,
  parameters: RegionParameters,
  maxEvaluations: number,
): Promise<Region> {
  const { card } = model;
  const { strategy } = parameters;
  const conditional = card.conditioning === 'inpaint';
  const isLarger = Math.max(picture.width, picture.height) > card.resolution;
  if (strategy === 'windows' || (strategy === 'auto' && conditional && isLarger)) {
    return {
      strategy: 'windows',
      plan: await planWindows(model, mask, hole.box, parameters, maxEvaluations),
    };
  }
  const region = wholeRegion(picture, hole.box, card.resolution, parameters);
  const isKnown = conditional || hasKnown(await maskToTensor(mask, region.box, square(card.resolution)));
  const evaluations = evaluationsOfFill(card, parameters.steps, isKnown);
  assertEvaluations(evaluations, maxEvaluations);
  return { ...region, evaluations };
}

async function planWindows(
  model: ServedModel,
  mask: Mask,
  hole: Box,
  { strategy, steps }: RegionParameters,
  maxEvaluations: number,
): Promise<Plan> {
  const { resolution, refiner } = model.card;
  const refine = refiner && usableNetworks(model).includes('refiner');
  const plan = await planRegions(mask, hole, {
    base: { window: resolution, steps },
    refiner: refine ? { window: refiner.resolution, steps: refiner.defaults.steps } : undefined,
    maxEvaluations: strategy === 'auto' ? maxEvaluations : Number.POSITIVE_INFINITY,
  });
  if (plan.evaluations <= maxEvaluations) return plan;
  const needs = `filling the hole in windows needs ${plan.evaluations} evaluations for an image, more than ${maxEvaluations} (MAX_EVALUATIONS): use fewer steps`;
  if (strategy === 'auto') throw new InvalidParameterError('steps', `${needs} or a smaller picture`);
  throw new InvalidParameterError(
    'strategy',
    `${needs}, a smaller picture, or strategy auto, which fills large holes at a coarser scale`,
  );
}

/** The part of the picture that is brought to the model's resolution. */
export function wholeRegion(
  picture: Pick<Picture, 'width' | 'height'>,
  hole: Box,
  resolution: number,
  { strategy, padding }: Pick<RegionParameters, 'strategy' | 'padding'>,
): Pick<WholeRegion, 'strategy' | 'box'> {
  const { width, height } = picture;
  const long = Math.max(width, height);
  const whole = long <= WHOLE_UP_TO * resolution && long / Math.min(width, height) <= SQUASH;
  if (strategy === 'resize' || (strategy === 'auto' && whole)) {
    return { strategy: 'resize', box: wholeBox(picture) };
  }
  const size = Math.max(hole.width, hole.height);
  const side = Math.max(resolution, size + 2 * (padding ?? size));
  const cut = { width: Math.min(side, width), height: Math.min(side, height) };
  return { strategy: 'crop', box: centredOn(hole, cut, picture) };
}

import { stepsOf } from '../diffusion/samplers/last-steps.ts';
import type { ModelCard } from '../model/card.ts';
import { InvalidParameterError } from './errors.ts';
import type { Start } from './trajectories/create.ts';
import { repaintEvaluations } from './trajectories/repaint.ts';

/** Evaluations of the base network for one sample: `steps`, or the share `strength` of them if it starts from a picture. */
export function evaluationsOfSample(steps: number, start?: Pick<Start, 'strength'>): number {
  return start ? stepsOf(steps, start.strength) : steps;
}

/**
 * Evaluations of the base network for one fill at the model's resolution, in `steps` steps.
 *
 * @param isKnown whether a pixel is known there: RePaint does not resample where none is
 */
export function evaluationsOfFill(
  { conditioning, sampling }: ModelCard,
  steps: number,
  isKnown = true,
): number {
  return conditioning === 'none' && isKnown ? repaintEvaluations(steps, sampling.resampling) : steps;
}

/** Throws InvalidParameterError where an image takes more evaluations than `max`, the setting MAX_EVALUATIONS. */
export function assertEvaluations(evaluations: number, max: number): void {
  if (evaluations <= max) return;
  throw new InvalidParameterError(
    'steps',
    `an image takes ${evaluations} evaluations with this model, more than ${max} (MAX_EVALUATIONS): use fewer steps`,
  );
}

import { randomInt } from 'node:crypto';
import type { SamplingParameters } from '../inpainting/parameters.ts';
import type { ModelRegistry } from '../registry/registry.ts';
import type { ServedModel } from '../registry/served-model.ts';
import { fieldProblem, Problem, RETRY_AFTER_S } from './problem.ts';
import type { SampleBody } from './schemas/requests.ts';

/** The model asked for. Throws unknown-model; not-ready while the default one cannot answer. */
export function chooseModel(registry: ModelRegistry, reference: string | undefined): ServedModel {
  const model = registry.get(reference);
  if (!registry.ready && model === registry.get()) {
    throw new Problem('not-ready', registry.notReadyReason ?? 'not ready', { retryAfterS: RETRY_AFTER_S });
  }
  return model;
}

/** A seed for a request that has none: 0..2^32-1. */
export const drawSeed = () => randomInt(2 ** 32);

/** What was asked for, with the model card's defaults where nothing was. Throws a problem for steps the model has not. */
export function samplingParameters(body: SampleBody, { card, ref }: ServedModel): SamplingParameters {
  const { T } = card.schedule;
  const steps = body.steps ?? card.defaults.steps;
  if (steps > T) {
    throw fieldProblem('invalid-request', 'steps', `steps is ${steps}; ${ref} takes 1 to ${T}`);
  }
  return {
    seed: body.seed ?? drawSeed(),
    numImages: body.num_images,
    sampler: body.sampler ?? card.defaults.sampler,
    steps,
    eta: body.eta ?? card.defaults.eta,
  };
}

/** The same under their names in requests, so that what an answer says can be sent again. */
export function asFields({ seed, numImages, sampler, steps, eta }: SamplingParameters) {
  return { seed, num_images: numImages, sampler, steps, eta };
}

import { randomInt } from 'node:crypto';
import { fieldProblem, Problem, RETRY_AFTER_S } from '../http/problem.ts';
import type { SampleBody } from '../http/schemas/requests.ts';
import type { ModelRegistry } from '../registry/registry.ts';
import type { ServedModel } from '../registry/served-model.ts';
import type { SamplingParameters } from './types.ts';

/**
 * The model asked for. Where requests without one are split between versions the seed decides, so that the same request
 * goes to the same one. Throws unknown-model; not-ready while the default one cannot answer.
 */
export function chooseModel(registry: ModelRegistry, { model: reference, seed }: Wanted): ServedModel {
  const model = registry.get(reference, seed);
  if (!registry.ready && model === registry.get(undefined, seed)) {
    throw new Problem('not-ready', registry.notReadyReason ?? 'not ready', { retryAfterS: RETRY_AFTER_S });
  }
  return model;
}

interface Wanted {
  model?: string;
  seed: number;
}

/** The request with a seed, drawn where it has none. */
export function seeded<Body extends { seed?: number }>(body: Body): Body & { seed: number } {
  return { ...body, seed: body.seed ?? drawSeed() };
}

/** A seed for a request that has none: 0..2^32-1. */
const drawSeed = () => randomInt(2 ** 32);

/** What was asked for, with the model card's defaults where nothing was. Throws a problem for steps the model has not. */
export function samplingParameters(
  body: SampleBody & { seed: number },
  { card, ref }: ServedModel,
): SamplingParameters {
  const { T } = card.schedule;
  const steps = body.steps ?? card.defaults.steps;
  if (steps > T) {
    throw fieldProblem('invalid-request', 'steps', `steps is ${steps}; ${ref} takes 1 to ${T}`);
  }
  return {
    seed: body.seed,
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

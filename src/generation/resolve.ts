import { randomInt } from 'node:crypto';
import type { OutputFormat } from '../image/picture.ts';
import type { ModelRegistry } from '../registry/registry.ts';
import type { ServedModel } from '../registry/served-model.ts';
import { InvalidParameterError, ModelNotReadyError } from './errors.ts';
import type { SamplingParameters } from './parameters.ts';
import type { GenerationRequest } from './request.ts';

/** A request with its model chosen, its seed drawn and its defaults filled in. Nothing has been decoded yet. */
export interface ResolvedRequest {
  request: GenerationRequest;
  model: ServedModel;
  parameters: SamplingParameters;
  format: OutputFormat;
}

/**
 * Chooses the model and fills in what the request leaves open. Where requests without a model are split between
 * versions, the seed decides, so that the same request goes to the same version.
 *
 * Throws UnknownModelError, and InvalidParameterError for more steps than the model's schedule has, and for
 * windows with an unconditional model.
 */
export function resolve(registry: ModelRegistry, request: GenerationRequest): ResolvedRequest {
  const seed = request.seed ?? randomInt(2 ** 32);
  const model = registry.get(request.model, seed);
  const { defaults, schedule } = model.card;
  const steps = request.steps ?? defaults.steps;
  if (steps > schedule.T) {
    throw new InvalidParameterError('steps', `steps is ${steps}; ${model.ref} takes 1 to ${schedule.T}`);
  }
  const isUnconditional = model.card.conditioning === 'none';
  if (request.task === 'inpaint' && request.strategy === 'windows' && isUnconditional) {
    throw new InvalidParameterError(
      'strategy',
      `${model.ref} is not conditioned on known pixels: use auto, crop or resize`,
    );
  }
  // Among the samplers, ddpm's fresh noise mixes best with RePaint's resampling.
  const fillsWithRepaint = request.task === 'inpaint' && isUnconditional;
  return {
    request,
    model,
    parameters: {
      seed,
      numImages: request.num_images,
      sampler: request.sampler ?? (fillsWithRepaint ? 'ddpm' : defaults.sampler),
      steps,
      eta: request.eta ?? defaults.eta,
    },
    format: request.format ?? 'png',
  };
}

/** For a request that cannot wait for a model to load. Throws ModelNotReadyError while the default model cannot answer. */
export function assertReady(registry: ModelRegistry, model: ServedModel, seed?: number): void {
  const why = registry.notReadyReason;
  if (why !== undefined && model === registry.get(undefined, seed)) throw new ModelNotReadyError(why);
}

/** What it takes to generate the same pictures again, under the names of request parameters. */
export function reproducibilityFields({ model, parameters }: Pick<ResolvedRequest, 'model' | 'parameters'>) {
  const { seed, numImages, sampler, steps, eta } = parameters;
  return { model: model.ref, seed, num_images: numImages, sampler, steps, eta };
}

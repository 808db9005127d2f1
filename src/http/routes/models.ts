import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { NetworkName } from '../../engine/engine.ts';
import type { NetworkShape } from '../../engine/network.ts';
import { secondsOfFill } from '../../generation/estimate.ts';
import { evaluationsOfFill } from '../../generation/evaluations.ts';
import { networksOf } from '../../model/networks.ts';
import type { ServedModel } from '../../registry/served-model.ts';
import type { Dependencies } from '../dependencies.ts';
import { apiProblems, json } from '../openapi.ts';
import { type ModelResponse, modelList, model as modelSchema } from '../schemas/responses.ts';

export default async function modelRoutes(app: FastifyInstance, { registry }: Dependencies) {
  app.get(
    '/v1/models',
    {
      schema: {
        operationId: 'listModels',
        tags: ['models'],
        summary: 'All models, newest version first',
        description: 'Every version in MODEL_DIR, loaded or not, by id.',
        response: {
          200: json('All models', modelList),
          ...apiProblems(),
        },
      },
    },
    () => {
      const models = registry.list().map(describe);
      return { object: 'list', data: models, models };
    },
  );

  app.get<{ Params: { id: string } }>(
    '/v1/models/:id',
    {
      schema: {
        operationId: 'getModel',
        tags: ['models'],
        summary: 'One model: its card, metrics, digest, state and where it runs',
        description:
          'The card is the contents of model.json: architecture, noise schedule, defaults, training and metrics.',
        params: z.object({
          id: z
            .string()
            .meta({ description: 'id (its newest version) or id@version', examples: ['celeba-inpaint-64'] }),
        }),
        response: {
          200: json('The model', modelSchema),
          ...apiProblems('unknown-model'),
        },
      },
    },
    (request) => describe(registry.get(request.params.id)),
  );

  function describe(model: ServedModel): ModelResponse {
    const { ref, created, state, reason, digest, engine, workers, card } = model;
    return {
      id: ref,
      object: 'model',
      created: Math.floor(created.getTime() / 1000),
      owned_by: 'ddpm-inpaint',
      ref,
      default: model === registry.get(),
      share: registry.shareOf(model),
      state,
      reason,
      digest,
      stages: stages(model),
      engine: engine && {
        engine: engine.engine,
        device: engine.device,
        device_name: engine.deviceName,
        device_memory_bytes: engine.deviceMemoryBytes,
        library: engine.library,
        precision: engine.precision,
        best_batch: engine.bestBatch,
        workers: engine.workers,
        workers_alive: workers?.alive ?? 0,
        workers_reason: engine.workersReason,
      },
      speed: speed(model),
      card,
    };
  }
}

/** How long the model takes here, where that has been measured. */
function speed(model: ServedModel): ModelResponse['speed'] {
  const { rowSeconds: { base, refiner } = {}, card } = model;
  const seconds = secondsOfFill(model);
  if (base === undefined || seconds === undefined) return undefined;
  return {
    seconds_per_evaluation: { base, refiner },
    evaluations_per_fill: evaluationsOfFill(card, card.defaults.steps),
    seconds_per_fill: seconds,
  };
}

/** The networks of a version, and whether its engine serves them. */
function stages({ card, engine }: ServedModel): ModelResponse['stages'] {
  const { base, refiner } = networksOf(card);
  const stage = (name: NetworkName, { file, resolution }: NetworkShape) => {
    const { sha256, bytes } = card.files[file];
    return { name, file, sha256, bytes, resolution, served: engine?.networks.includes(name) };
  };
  return [stage('base', base), ...(refiner ? [stage('refiner', refiner)] : [])];
}

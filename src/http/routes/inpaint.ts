import type { FastifyInstance } from 'fastify';
import { inpaintWork } from '../../generation/prepare.ts';
import { chooseModel, samplingParameters, seeded } from '../../generation/resolve.ts';
import type { Parts } from '../dependencies.ts';
import { negotiate } from '../negotiate.ts';
import { apiProblems, binary, events } from '../openapi.ts';
import { answer, drawnAs } from '../reply.ts';
import { type InpaintBody, inpaintForm, inpaintJson } from '../schemas/requests.ts';
import { inpaintResponse } from '../schemas/responses.ts';

export default async function inpaintRoute(app: FastifyInstance, parts: Parts) {
  const { registry, metrics } = parts;
  app.post<{ Body: InpaintBody }>(
    '/v1/inpaint',
    {
      schema: {
        operationId: 'inpaint',
        tags: ['pictures'],
        summary: 'Fill the hole of a picture',
        description:
          'Every pixel outside the hole comes back as it was sent, bit for bit (PNG, and WebP of quality 100). ' +
          'Accept chooses between the picture itself and JSON with all candidates.',
        body: {
          content: {
            'multipart/form-data': { schema: inpaintForm },
            'application/json': { schema: inpaintJson },
          },
        },
        response: {
          200: {
            description: 'The filled picture, or JSON with every candidate',
            content: {
              'application/json': { schema: inpaintResponse },
              'image/png': { schema: binary },
              'image/jpeg': { schema: binary },
              'image/webp': { schema: binary },
              'text/event-stream': { schema: events },
            },
          },
          ...apiProblems(
            'invalid-request',
            'unreadable-picture',
            'mask-mismatch',
            'empty-mask',
            'unknown-model',
            'not-acceptable',
            'upload-too-large',
            'picture-too-large',
            'unsupported-media-type',
            'unsupported-picture',
            'queue-full',
            'engine-failure',
            'not-ready',
          ),
        },
      },
      preValidation: (request) => request.readForm(inpaintForm),
    },
    async (request, reply) => {
      const body = seeded(request.body);
      const model = chooseModel(registry, body);
      const sampling = samplingParameters(body, model);
      Object.assign(request.about, drawnAs({ model, parameters: sampling }));
      const form = negotiate(request, body.format, sampling.numImages);
      const place = model.scheduler?.reserve(sampling.numImages); // before anything is decoded
      try {
        return await answer(reply, metrics, await inpaintWork(parts, body, { model, sampling, form, place }));
      } finally {
        place?.();
      }
    },
  );
}

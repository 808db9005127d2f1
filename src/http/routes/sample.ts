import type { FastifyInstance } from 'fastify';
import { sampleWork } from '../../generation/prepare.ts';
import { chooseModel, samplingParameters, seeded } from '../../generation/resolve.ts';
import type { Parts } from '../dependencies.ts';
import { negotiate } from '../negotiate.ts';
import { apiProblems, binary, events } from '../openapi.ts';
import { answer, drawnAs } from '../reply.ts';
import { type SampleBody, sampleJson } from '../schemas/requests.ts';
import { sampleResponse } from '../schemas/responses.ts';

export default async function sampleRoute(app: FastifyInstance, { registry, metrics }: Parts) {
  app.post<{ Body: SampleBody }>(
    '/v1/sample',
    {
      schema: {
        operationId: 'sample',
        tags: ['pictures'],
        summary: 'Draw pictures from pure noise',
        body: { content: { 'application/json': { schema: sampleJson } } },
        response: {
          200: {
            description: 'The picture, or JSON with all of them',
            content: {
              'application/json': { schema: sampleResponse },
              'image/png': { schema: binary },
              'image/jpeg': { schema: binary },
              'image/webp': { schema: binary },
              'text/event-stream': { schema: events },
            },
          },
          ...apiProblems(
            'invalid-request',
            'unknown-model',
            'not-acceptable',
            'upload-too-large',
            'unsupported-media-type',
            'queue-full',
            'engine-failure',
            'not-ready',
          ),
        },
      },
    },
    async (request, reply) => {
      const body = seeded(request.body);
      const model = chooseModel(registry, body);
      const sampling = samplingParameters(body, model);
      Object.assign(request.about, drawnAs({ model, parameters: sampling }));
      const form = negotiate(request, body.format, sampling.numImages);
      return answer(reply, metrics, sampleWork(body, { model, sampling, form }));
    },
  );
}

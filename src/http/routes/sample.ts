import type { FastifyInstance } from 'fastify';
import type { Dependencies } from '../dependencies.ts';
import { pictureOperation } from '../picture-operation.ts';
import { GENERATION_SLUGS } from '../problem.ts';
import { replyWithPictures } from '../reply.ts';
import { type SampleBody, sampleJson } from '../schemas/requests.ts';
import { sampleResponse } from '../schemas/responses.ts';

export default async function sampleRoute(app: FastifyInstance, dependencies: Dependencies) {
  const schema = pictureOperation({
    operationId: 'sample',
    summary: 'Generate pictures from pure noise',
    description:
      'The pictures have the resolution of the model. The Accept header chooses between the picture itself, JSON with all ' +
      'candidates, and a stream of events.',
    json: sampleJson,
    answer: 'The picture, or JSON with all of them',
    response: sampleResponse,
    streamed: true,
    problems: ['picture-too-large', ...GENERATION_SLUGS],
  });
  app.post<{ Body: SampleBody }>('/v1/sample', { schema }, (request, reply) =>
    replyWithPictures(dependencies, reply, { task: 'sample', ...request.body }),
  );
}

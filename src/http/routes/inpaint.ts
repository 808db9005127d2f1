import type { FastifyInstance } from 'fastify';
import type { Dependencies } from '../dependencies.ts';
import { pictureOperation } from '../picture-operation.ts';
import { GENERATION_SLUGS, MASK_SLUGS, PICTURE_SLUGS } from '../problem.ts';
import { replyWithPictures } from '../reply.ts';
import { type InpaintBody, inpaintForm, inpaintJson } from '../schemas/requests.ts';
import { inpaintResponse } from '../schemas/responses.ts';

export default async function inpaintRoute(app: FastifyInstance, dependencies: Dependencies) {
  const schema = pictureOperation({
    operationId: 'inpaint',
    summary: 'Fill the hole of a picture',
    description:
      'Every pixel outside the hole is returned unchanged, bit for bit: 16 bits per channel in PNG, 8 in lossless WebP. ' +
      'The ICC profile, the density and the colour chunks of a PNG are kept, and a grey picture stays grey. The Accept header ' +
      'chooses between the picture itself, JSON with all candidates, and a stream of events.',
    json: inpaintJson,
    form: inpaintForm,
    answer: 'The filled picture, or JSON with every candidate',
    response: inpaintResponse,
    streamed: true,
    problems: [...PICTURE_SLUGS, ...MASK_SLUGS, ...GENERATION_SLUGS],
  });
  app.post<{ Body: InpaintBody }>(
    '/v1/inpaint',
    { schema, preValidation: (request) => request.readForm(inpaintForm) },
    (request, reply) => replyWithPictures(dependencies, reply, { task: 'inpaint', ...request.body }),
  );
}

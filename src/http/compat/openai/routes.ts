import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import type { GenerationRequest } from '../../../generation/request.ts';
import type { Dependencies } from '../../dependencies.ts';
import type { JsonShape } from '../../json-body.ts';
import { generatedHeaders, ofApi, problems as responses } from '../../openapi.ts';
import type { FormLimits } from '../../plugins/multipart.ts';
import { BODY_SLUGS, GENERATION_SLUGS, MASK_SLUGS, PICTURE_SLUGS, type Slug } from '../../problem.ts';
import { ignoredHeader, nameIgnored } from '../ignored.ts';
import { statusOf } from './errors.ts';
import { replyWithImages, streamImages } from './reply.ts';
import { editRequest, generateRequest, variationRequest } from './request.ts';
import {
  type EditBody,
  editForm,
  editJson,
  type GenerateBody,
  generateJson,
  imagesResponse,
  type VariationBody,
  variationForm,
} from './schemas.ts';

/** A prompt may have 32,000 characters, of up to four bytes each; as an escape in JSON, a character has up to twelve. */
const FORM: FormLimits = { files: 16, fields: 64, fieldSize: 131_072 };
const json: JsonShape = { pictures: ['image_url'], depth: 3, bytes: 524_288 };

const stream = z.string().meta({
  description:
    'Server-sent events, with `stream`: `partial_image` for intermediate pictures before the first result, then `completed` for ' +
    'each result; if it fails, the last event has a member `error`.',
});

interface Operation {
  operationId: string;
  summary: string;
  description: string;
  /** Content of its body. */
  body: object;
  problems: readonly Slug[];
  isStreamed: boolean;
}

function operation({ description, body, problems, isStreamed, ...named }: Operation) {
  const content = { 'application/json': { schema: imagesResponse } };
  return {
    ...named,
    tags: ['OpenAI'],
    description: `${description} The header \`x-ignored-parameters\` names parameters that were sent and have no effect.`,
    body: { content: body },
    response: {
      200: {
        description: 'The pictures',
        headers: { ...generatedHeaders, ...ignoredHeader },
        content: { ...content, ...(isStreamed && { 'text/event-stream': { schema: stream } }) },
      },
      ...responses(ofApi(...BODY_SLUGS, ...GENERATION_SLUGS, ...problems), statusOf),
    },
  };
}

const known = (...schemas: z.ZodObject[]) => {
  const names = new Set(schemas.flatMap(({ shape }) => Object.keys(shape)));
  for (const name of ['prompt', 'quality', 'user']) names.delete(name);
  return names;
};
const EDIT = known(editForm, editJson);
const GENERATE = known(generateJson);
const VARIATION = known(variationForm);

/** OpenAI's images API, for existing clients. */
export default async function openAiImages(app: FastifyInstance, dependencies: Dependencies) {
  app.post<{ Body: EditBody }>(
    '/v1/images/edits',
    {
      schema: operation({
        operationId: 'editImage',
        summary: "Fill a hole, as OpenAI's clients ask for it",
        description: "OpenAI's `images/edits`.",
        body: { 'application/json': { schema: editJson }, 'multipart/form-data': { schema: editForm } },
        problems: [...PICTURE_SLUGS, ...MASK_SLUGS],
        isStreamed: true,
      }),
      config: { json },
      preValidation: (request) => request.readForm(editForm, FORM),
    },
    ({ body }, reply) => {
      nameIgnored(reply, body, EDIT);
      return answer(reply, editRequest(body), body, 'image_edit');
    },
  );

  app.post<{ Body: GenerateBody }>(
    '/v1/images/generations',
    {
      schema: operation({
        operationId: 'generateImage',
        summary: "Generate pictures, as OpenAI's clients ask for them",
        description:
          "OpenAI's `images/generations`. The model draws what it was trained on, whatever the prompt.",
        body: { 'application/json': { schema: generateJson } },
        problems: [],
        isStreamed: true,
      }),
      config: { json },
    },
    ({ body }, reply) => {
      nameIgnored(reply, body, GENERATE);
      return answer(reply, generateRequest(body), body, 'image_generation');
    },
  );

  app.post<{ Body: VariationBody }>(
    '/v1/images/variations',
    {
      schema: operation({
        operationId: 'varyImage',
        summary: "Variations of a picture, as OpenAI's clients ask for them",
        description:
          "OpenAI's `images/variations`: the picture is noised in part and denoised again (SDEdit), at the model's resolution.",
        body: { 'multipart/form-data': { schema: variationForm } },
        problems: PICTURE_SLUGS,
        isStreamed: false,
      }),
      preValidation: (request) => request.readForm(variationForm, FORM),
    },
    ({ body }, reply) => {
      nameIgnored(reply, body, VARIATION);
      return replyWithImages(dependencies, reply, variationRequest(body), body);
    },
  );

  function answer(
    reply: FastifyReply,
    request: GenerationRequest,
    body: EditBody | GenerateBody,
    event: 'image_edit' | 'image_generation',
  ) {
    if (body.stream) return streamImages(dependencies, reply, request, body, event);
    return replyWithImages(dependencies, reply, request, body);
  }
}

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Dependencies } from '../../dependencies.ts';
import type { JsonShape } from '../../json-body.ts';
import { apiProblems, generatedHeaders } from '../../openapi.ts';
import type { FormLimits } from '../../plugins/multipart.ts';
import type { Slug } from '../../problem.ts';
import { ignoredHeader, nameIgnored } from '../ignored.ts';
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

const PROBLEMS: Slug[] = [
  'invalid-request',
  'unknown-model',
  'unsupported-media-type',
  'upload-too-large',
  'queue-full',
  'memory-full',
  'engine-failure',
  'not-ready',
];
const PICTURES: Slug[] = ['unreadable-picture', 'picture-too-large'];
const MASKS: Slug[] = ['mask-mismatch', 'empty-mask'];

const stream = z.string().meta({
  description:
    'Server-sent events, with `stream`: `partial_image` for pictures on the way to the first result, then `completed` for ' +
    'each result; if it fails, the last event has a member `error`.',
});

function operation(operationId: string, summary: string, description: string, streamed: boolean) {
  const content = { 'application/json': { schema: imagesResponse } };
  return (body: object, problems: Slug[]) => ({
    operationId,
    tags: ['OpenAI'],
    summary,
    description: `${description} The header \`x-ignored-parameters\` names parameters that were sent and have no effect.`,
    body: { content: body },
    response: {
      200: {
        description: 'The pictures',
        headers: { ...generatedHeaders, ...ignoredHeader },
        content: { ...content, ...(streamed && { 'text/event-stream': { schema: stream } }) },
      },
      ...apiProblems(...PROBLEMS, ...problems),
    },
  });
}

const known = (...schemas: z.ZodObject[]) => {
  const names = new Set(schemas.flatMap(({ shape }) => Object.keys(shape)));
  for (const name of ['prompt', 'quality', 'user']) names.delete(name);
  return names;
};
const EDIT = known(editForm, editJson);
const GENERATE = known(generateJson);
const VARIATION = known(variationForm);

/** OpenAI's images API, for clients that exist. */
export default async function openAiImages(app: FastifyInstance, dependencies: Dependencies) {
  const edit = operation(
    'editImage',
    "Fill a hole, as OpenAI's clients ask for it",
    "OpenAI's `images/edits`.",
    true,
  );
  app.post<{ Body: EditBody }>(
    '/v1/images/edits',
    {
      schema: edit(
        { 'application/json': { schema: editJson }, 'multipart/form-data': { schema: editForm } },
        [...PICTURES, ...MASKS],
      ),
      config: { json },
      preValidation: (request) => request.readForm(editForm, FORM),
    },
    ({ body }, reply) => {
      nameIgnored(reply, body, EDIT);
      const request = editRequest(body);
      if (body.stream) return streamImages(dependencies, reply, request, body, 'image_edit');
      return replyWithImages(dependencies, reply, request, body);
    },
  );

  const generate = operation(
    'generateImage',
    "Generate pictures, as OpenAI's clients ask for them",
    "OpenAI's `images/generations`. The model draws what it was trained on, whatever the prompt.",
    true,
  );
  app.post<{ Body: GenerateBody }>(
    '/v1/images/generations',
    { schema: generate({ 'application/json': { schema: generateJson } }, []), config: { json } },
    ({ body }, reply) => {
      nameIgnored(reply, body, GENERATE);
      const request = generateRequest(body);
      if (body.stream) return streamImages(dependencies, reply, request, body, 'image_generation');
      return replyWithImages(dependencies, reply, request, body);
    },
  );

  const vary = operation(
    'varyImage',
    "Variations of a picture, as OpenAI's clients ask for them",
    "OpenAI's `images/variations`: the picture is noised in part and denoised again (SDEdit), at the model's resolution.",
    false,
  );
  app.post<{ Body: VariationBody }>(
    '/v1/images/variations',
    {
      schema: vary({ 'multipart/form-data': { schema: variationForm } }, PICTURES),
      preValidation: (request) => request.readForm(variationForm, FORM),
    },
    ({ body }, reply) => {
      nameIgnored(reply, body, VARIATION);
      return replyWithImages(dependencies, reply, variationRequest(body), body);
    },
  );
}

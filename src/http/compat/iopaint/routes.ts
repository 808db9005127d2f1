import type { FastifyInstance, FastifyReply } from 'fastify';
import { SAMPLER_NAMES } from '../../../diffusion/samplers/index.ts';
import type { InpaintRequest } from '../../../generation/request.ts';
import { sniffFormat } from '../../../image/format.ts';
import { isLossless } from '../../../image/lossless.ts';
import { OUTPUT_FORMATS, type OutputFormat } from '../../../image/picture.ts';
import type { Dependencies } from '../../dependencies.ts';
import { JSON_BYTES, type JsonShape } from '../../json-body.ts';
import { binary, generatedHeaders, json, pictureContent, refusals } from '../../openapi.ts';
import { perform } from '../../perform.ts';
import { fieldProblem, Problem } from '../../problem.ts';
import { sendImage } from '../../reply.ts';
import { ignoredHeader, nameIgnored } from '../ignored.ts';
import { adjustedMask } from './adjust-mask.ts';
import * as answers from './answers.ts';
import * as schemas from './schemas.ts';
import socket from './socket.ts';

/** The body's members that may be pictures. */
const shape: JsonShape = {
  pictures: ['image', 'mask', 'paint_by_example_example_image'],
  depth: 1,
  bytes: JSON_BYTES,
};
const KNOWN = new Set(Object.keys(schemas.inpaintJson.shape));

/** IOPaint's quality of JPEG and of WebP. */
const QUALITY = 95;
const LOSSLESS = 100;
const OUTPUTS: readonly string[] = OUTPUT_FORMATS;

/** The API of IOPaint, for its page and for scripts that use it. */
export default async function ioPaint(app: FastifyInstance, dependencies: Dependencies) {
  const { config, registry } = dependencies;
  await app.register(socket);

  app.get(
    '/api/v1/server-config',
    {
      schema: operation({
        operationId: 'ioPaintConfig',
        summary: "IOPaint's server configuration",
        response: { 200: json('The server configuration', schemas.serverConfig) },
      }),
    },
    () => answers.serverConfig(registry.get()),
  );
  app.get(
    '/api/v1/model',
    {
      schema: operation({
        operationId: 'ioPaintModel',
        summary: 'The model that is served',
        response: { 200: json('Name and abilities of the model', schemas.modelInfo) },
      }),
    },
    () => answers.modelInfo(registry.get()),
  );
  app.post<{ Body: { name: string } }>(
    '/api/v1/model',
    {
      schema: operation({
        operationId: 'ioPaintSwitchModel',
        summary:
          'Switch to another model: refused, because it would change the model for all clients. The name of the model that is served is accepted',
        body: { 'application/json': { schema: schemas.switchModelJson } },
        response: {
          200: json('Name and abilities of the model', schemas.modelInfo),
          ...errors(400, 408, 413, 415, 503),
        },
      }),
    },
    ({ body: { name } }) => {
      const model = registry.get();
      const info = answers.modelInfo(model);
      if (name === info.name || name === model.ref) return info;
      const detail = `name: the model is ${info.name}, and cannot be switched to another one`;
      throw fieldProblem('invalid-request', 'name', detail);
    },
  );
  app.get(
    '/api/v1/samplers',
    {
      schema: operation({
        operationId: 'ioPaintSamplers',
        summary: 'Names of the samplers',
        response: { 200: json('Names of the samplers', schemas.samplers) },
      }),
    },
    () => SAMPLER_NAMES,
  );
  // A picture to begin with, for which the page asks at its start. Anything but a picture means that there is none.
  app.get('/api/v1/inputimage', { schema: { hide: true } as never }, () => {
    throw new Problem('not-found', 'there is no input image');
  });
  app.post(
    '/api/v1/gen-info',
    {
      schema: operation({
        operationId: 'ioPaintGenInfo',
        summary: 'Prompts with which a picture was made: always empty',
        body: { 'multipart/form-data': { schema: schemas.genInfoForm } },
        response: { 200: json('Empty prompts', schemas.genInfo), ...errors(400, 408, 413, 415, 503) },
      }),
      preValidation: (request) => request.readForm(schemas.genInfoForm),
    },
    () => ({ prompt: '', negative_prompt: '' }),
  );
  app.post<{ Body: schemas.InpaintBody }>(
    '/api/v1/inpaint',
    {
      config: { json: shape },
      schema: operation({
        operationId: 'ioPaintInpaint',
        summary:
          'Fill a hole, as IOPaint does: the answer is a PNG, JPEG or WebP as the image is, otherwise a PNG',
        body: { 'application/json': { schema: schemas.inpaintJson } },
        response: {
          200: {
            description: 'The picture',
            headers: { ...generatedHeaders, ...ignoredHeader },
            content: pictureContent,
          },
          ...errors(400, 408, 413, 415, 422, 500, 503),
        },
      }),
    },
    ({ body }, reply) => {
      nameIgnored(reply, body, KNOWN);
      return fill(reply, body);
    },
  );
  app.post<{ Body: schemas.AdjustMaskBody }>(
    '/api/v1/adjust_mask',
    {
      schema: operation({
        operationId: 'ioPaintAdjustMask',
        summary: 'Grow, shrink or reverse the hole of a mask',
        body: { 'application/json': { schema: schemas.adjustMaskJson } },
        response: {
          200: { description: 'The mask, yellow', content: { 'image/png': { schema: binary } } },
          ...errors(400, 408, 413, 415, 422, 503),
        },
      }),
    },
    async ({ body }, reply) => sendImage(reply, await adjustedMask(config, reply, body), 'png'),
  );

  async function fill(reply: FastifyReply, { image, mask, sd_seed }: schemas.InpaintBody) {
    const { format, quality } = outputFor(image);
    const request: InpaintRequest = {
      task: 'inpaint',
      image,
      mask,
      mask_reading: 'colour',
      keep_alpha: true,
      seed: sd_seed === -1 ? undefined : sd_seed,
      num_images: 1,
      priority: 'normal',
      preview_every: 0,
      strategy: 'auto',
      mask_grow: 0,
      mask_blur: 0,
      metadata: 'keep',
      format,
      quality,
    };
    const { files } = await perform(dependencies, reply, request);
    return sendImage(reply, files[0], format);
  }
}

/** The format of the image, so that the page can go on with the answer; PNG for those that the service does not write. */
function outputFor(image: Buffer): { format: OutputFormat; quality?: number } {
  const sent = sniffFormat(image);
  if (sent === undefined || !OUTPUTS.includes(sent)) return { format: 'png' };
  return { format: sent as OutputFormat, quality: isLossless(image, sent) ? LOSSLESS : QUALITY };
}

interface Operation {
  operationId: string;
  summary: string;
  /** Content of its body, if it has one. */
  body?: object;
  response: Record<number, unknown>;
}

function operation({ body, response, ...named }: Operation) {
  return {
    ...named,
    tags: ['IOPaint'],
    description: "A part of IOPaint's API, for its page and for its clients: docs/iopaint.md.",
    ...(body && { body: { content: body } }),
    response: { ...response, ...errors(401, 429) },
  };
}

const errors = (...statuses: number[]) => refusals(schemas.error, statuses);

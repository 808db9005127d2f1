import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ModelNotReadyError } from '../../../generation/errors.ts';
import { NAME, VERSION } from '../../../version.ts';
import type { Dependencies } from '../../dependencies.ts';
import { binary, generatedHeaders, json, refusals } from '../../openapi.ts';
import { assertServing } from '../../serving.ts';
import { ignoredHeader } from '../ignored.ts';
import { readBody, sendMessage } from './body.ts';
import { configurationOf } from './configuration.ts';
import { fill, predict } from './infer.ts';
import type { Message } from './message.ts';
import { findModel, type ModelPath, versionsOf } from './models.ts';
import * as schemas from './schemas.ts';
import { describe } from './signatures.ts';

const tags = ['open inference protocol'];
const DESCRIPTION =
  'Open Inference Protocol, version 2: docs/open-inference-protocol.md has tensors and parameters.';

const params = z.object({
  model: z.string().meta({
    description:
      'A model (id, or id@version) for the whole task; with `-network` after it, for its bare network',
    examples: ['celeba-inpaint-64'],
  }),
});
const versioned = params.extend({
  version: z.string().meta({ description: 'A version of the model', examples: ['2'] }),
});

/** The Open Inference Protocol, version 2, of KServe and Triton. */
export default async function openInferenceProtocol(app: FastifyInstance, dependencies: Dependencies) {
  const { config, registry } = dependencies;

  app.get(
    '/v2/health/live',
    { schema: operation('serverLive', 'Liveness', { 200: json('The process answers', schemas.live) }) },
    () => ({ live: true }),
  );
  app.get(
    '/v2/health/ready',
    {
      schema: operation('serverReady', 'Readiness', {
        200: json('The service is ready', schemas.ready),
        ...errors(503),
      }),
    },
    () => {
      assertServing(app, registry);
      return { ready: true };
    },
  );
  app.get(
    '/v2',
    {
      schema: operation('serverMetadata', 'Name, version and extensions of the server', {
        200: json('Name, version and extensions', schemas.serverMetadata),
        ...errors(401, 429),
      }),
    },
    () => ({ name: NAME, version: VERSION, extensions: ['binary_tensor_data', 'model_configuration'] }),
  );

  // The body may be of any type, or of none: tritonclient names no type, KServe's client names application/octet-stream.
  app.removeAllContentTypeParsers();
  const limit = config.MAX_UPLOAD_BYTES;
  app.addContentTypeParser('*', async (request: FastifyRequest, body: IncomingMessage) =>
    readBody(request, body, limit),
  );

  for (const [path, schema, suffix] of [
    ['/v2/models/:model', params, ''],
    ['/v2/models/:model/versions/:version', versioned, 'Version'],
  ] as const) {
    app.get<{ Params: ModelPath }>(
      path,
      {
        schema: {
          ...operation(`model${suffix}Metadata`, 'Inputs and outputs of a model', {
            200: json('Names, types and shapes of the inputs and outputs', schemas.modelMetadata),
            ...errors(401, 404, 429),
          }),
          params: schema,
        },
      },
      (request) => {
        const found = findModel(registry, request.params);
        const { name, signature } = found;
        return {
          name,
          versions: versionsOf(registry, found),
          platform: NAME,
          inputs: describe(signature.inputs),
          outputs: describe(signature.outputs),
        };
      },
    );
    app.get<{ Params: ModelPath }>(
      `${path}/config`,
      {
        schema: {
          ...operation(`model${suffix}Configuration`, 'Configuration of a model, for clients of Triton', {
            200: json('Configuration of the model', schemas.modelConfiguration),
            ...errors(401, 404, 429),
          }),
          params: schema,
        },
      },
      (request) => configurationOf(findModel(registry, request.params), NAME),
    );
    app.get<{ Params: ModelPath }>(
      `${path}/ready`,
      {
        schema: {
          ...operation(`model${suffix}Ready`, 'Whether a model can answer now', {
            200: json('The model is ready', schemas.modelReady),
            ...errors(401, 404, 429, 503),
          }),
          params: schema,
        },
      },
      (request) => {
        const { name, model } = findModel(registry, request.params);
        const { ref, state, reason, workers } = model;
        // One that is not loaded is ready: it loads on first use.
        if (state === 'loading') throw new ModelNotReadyError(`${ref} is loading`);
        if (state === 'failed') throw new ModelNotReadyError(`${ref} failed to load: ${reason}`);
        if (state === 'ready' && workers?.alive === 0)
          throw new ModelNotReadyError(`${ref} has no live worker`);
        return { name, ready: true };
      },
    );
    app.post<{ Params: ModelPath; Body: Message }>(
      `${path}/infer`,
      {
        config: { anyType: true },
        validatorCompiler: () => (value) => ({ value }), // message.ts validates, when it has read the tensors
        schema: {
          ...operation(`model${suffix}Infer`, 'Fill holes, or evaluate the bare network', {
            200: {
              headers: inferHeaders,
              description:
                'The outputs. Binary outputs follow the JSON; the header Inference-Header-Content-Length has its length',
              content: {
                'application/json': { schema: schemas.inferResponse },
                'application/octet-stream': { schema: binary },
              },
            },
            ...errors(400, 401, 404, 408, 413, 415, 422, 429, 500, 503),
          }),
          params: schema,
          body: {
            content: {
              'application/json': { schema: schemas.inferRequest },
              'application/octet-stream': { schema: binary },
            },
          },
        },
      },
      async (request, reply) =>
        sendMessage(reply, await infer(request.params, request.body ?? { bytes: Buffer.alloc(0) }, reply)),
    );
  }

  async function infer(path: ModelPath, message: Message, reply: FastifyReply): Promise<Message> {
    const work = findModel(registry, path).isNetwork ? predict : fill;
    return work(dependencies, reply, path, message);
  }
}

const inferHeaders = {
  ...generatedHeaders,
  'inference-header-content-length': {
    type: 'integer',
    minimum: 0,
    maximum: 2 ** 31 - 1,
    description: 'Bytes of the JSON, if binary outputs follow it',
  },
  ...ignoredHeader,
};

function operation(operationId: string, summary: string, response: Record<number, unknown>) {
  return { operationId, tags, summary, description: DESCRIPTION, response };
}

const errors = (...statuses: number[]) => refusals(schemas.inferError, statuses);

import { readFile } from 'node:fs/promises';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifyReply } from 'fastify';
import fp from 'fastify-plugin';
import { VERSION } from '../../version.ts';
import { HERE, serversAt, transform, transformObject } from '../openapi.ts';
import { policy } from './headers.ts';

const ICON = new URL('../../playground/icon.svg', import.meta.url);

/** The service's address relative to /docs/json: see HERE in openapi.ts. */
const ABOVE = '..';

/** Addresses for which a document is kept. There are few, unless a proxy passes on any X-Forwarded-Prefix. */
const MAX_ADDRESSES = 8;

/** All problems look alike: the example is shown once for each operation. */
const STYLE = `
.responses-table tr.response:not([data-code^='2']) ~ tr.response:not([data-code^='2']) :is(.response-controls, .model-example) { display: none }
.topbar-wrapper .link::after { content: 'ddpm-inpaint'; color: #fff; font-size: 1.2rem; margin-left: 0.75rem }
.topbar-wrapper img { height: 32px }
`;

/** Swagger UI needs its own files, the pictures embedded in its styles, and calls to this service. */
const SWAGGER_UI = {
  'script-src': ["'self'"],
  'style-src': ["'self'", "'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='"], // a style element that its script adds
  'img-src': ["'self'", 'data:', 'blob:'],
  'connect-src': ["'self'"],
};

/** The OpenAPI document, made from the routes' schemas, and Swagger UI. */
export default fp(async function docs(app: FastifyInstance) {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'ddpm-inpaint',
        version: VERSION,
        description:
          'Image inpainting: fills holes in pictures with a denoising diffusion model. Errors are `application/problem+json` ' +
          '(RFC 9457); below `/v1/images` and `/v1/models` they have a member `error`, as clients of OpenAI read it. Below ' +
          '`/v2` they are `{"error": "..."}`, as the Open Inference Protocol specifies; below `/api/v1` they are those of IOPaint. Every response carries ' +
          '`x-request-id`. In a JSON body, null means that an optional field is absent; so does an empty field of a form ' +
          'or a query.',
        contact: { name: 'Operator of this service' },
        license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
      },
      security: [],
      components: {
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            description: 'An API key, if the service needs one',
          },
          header: {
            type: 'apiKey',
            in: 'header',
            name: 'x-api-key',
            description: 'The same key in the x-api-key header',
          },
        },
      },
      tags: [
        { name: 'pictures', description: 'Fill holes, generate pictures, and add noise to pictures' },
        { name: 'OpenAI', description: "OpenAI's images API, for existing clients" },
        { name: 'jobs', description: 'Fill and generate asynchronously' },
        { name: 'models', description: 'Models that can be requested' },
        { name: 'operations', description: 'Probes and metrics' },
        { name: 'IOPaint', description: "IOPaint's API, for its page and its clients" },
        { name: 'open inference protocol', description: 'Version 2 of the protocol of KServe and Triton' },
      ],
    },
    transform,
    transformObject,
  });
  const icon = await readFile(ICON);
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: policy(SWAGGER_UI),
    theme: {
      title: 'ddpm-inpaint: API',
      css: [{ filename: 'ours.css', content: STYLE }],
      favicon: [{ filename: 'icon.svg', rel: 'icon', type: 'image/svg+xml', sizes: 'any', content: icon }],
    },
    logo: { type: 'image/svg+xml', content: icon, href: '../', target: '_self' },
    uiHooks: {
      preHandler: async ({ routeOptions, pathPrefix }, reply) => {
        if (routeOptions.url === '/docs/json') return sendJson(reply, pathPrefix || ABOVE);
        if (routeOptions.url === '/docs/yaml') return sendYaml(reply, pathPrefix || ABOVE);
      },
    },
  });

  const json = shared((address) => JSON.stringify({ ...app.swagger(), servers: serversAt(address) }));
  const yaml = shared((address) =>
    app.swagger({ yaml: true }).replace(`- url: ${HERE}\n`, `- url: ${address}\n`),
  );
  const sendJson = (reply: FastifyReply, address: string) =>
    reply.type('application/json').send(json(address));
  const sendYaml = (reply: FastifyReply, address: string) =>
    reply.type('application/yaml').send(yaml(address));

  app.get('/openapi.json', { schema: { hide: true } as never }, ({ pathPrefix }, reply) =>
    sendJson(reply, pathPrefix || HERE),
  );
  app.get('/openapi.yaml', { schema: { hide: true } as never }, ({ pathPrefix }, reply) =>
    sendYaml(reply, pathPrefix || HERE),
  );
});

/** Texts by address, made once and kept as bytes: the answers to all clients share their memory. */
function shared(make: (address: string) => string): (address: string) => Buffer {
  const made = new Map<string, Buffer>();
  return (address) => {
    let bytes = made.get(address);
    if (!bytes) {
      if (made.size === MAX_ADDRESSES) made.clear();
      bytes = Buffer.from(make(address));
      made.set(address, bytes);
    }
    return bytes;
  };
}

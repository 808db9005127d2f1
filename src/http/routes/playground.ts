import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';

/** The page with a brush: files as they are, beside this one's folder in the sources and in the build. */
const ROOT = fileURLToPath(new URL('../../playground', import.meta.url));

export default async function playground(app: FastifyInstance) {
  await app.register(fastifyStatic, {
    root: ROOT,
    prefix: '/playground/',
    index: false,
    wildcard: false, // a route a file: what is not there is not found
    cacheControl: false,
    setHeaders: (response) => response.header('cache-control', 'no-cache'), // a new version shows at once; 304 is cheap
  });
  app.get('/', { schema: { hide: true } as never }, (_, reply) => reply.sendFile('index.html'));
}

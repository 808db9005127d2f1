import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { policy } from '../plugins/headers.ts';

/** The page with a brush: files as they are, beside this one's folder in the sources and in the build. */
const ROOT = fileURLToPath(new URL('../../playground', import.meta.url));

/** Its own files, pictures that it made, and calls to this service. */
const POLICY = policy({
  'script-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'", 'blob:', 'data:'],
  'connect-src': ["'self'"],
});

export default async function playground(app: FastifyInstance) {
  app.addHook('onRequest', async (_, reply) => {
    await reply.helmet({ contentSecurityPolicy: { useDefaults: false, directives: POLICY } });
  });
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

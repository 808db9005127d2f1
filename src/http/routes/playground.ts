import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { policy } from '../plugins/headers.ts';

/** The page's files, at the same relative path in the sources and in the build. */
const ROOT = fileURLToPath(new URL('../../playground', import.meta.url));

/** The page may load its own files and pictures that it made, and call this service. */
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
    wildcard: false, // a route for each file, so that anything else is a 404
    cacheControl: false,
    setHeaders: (response) => response.header('cache-control', 'no-cache'), // always revalidated, so that a new version shows at once
  });
  app.get('/', { schema: { hide: true } as never }, (_, reply) => reply.sendFile('index.html'));
}

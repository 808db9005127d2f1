import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import type { Dependencies } from '../dependencies.ts';
import { policy } from '../plugins/headers.ts';

/** The page as `npm run build:page` makes it, whether this file is the source or was compiled to dist/http/routes. */
const ROOT = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../../dist/playground' : '../../playground', import.meta.url),
);

/** The page may load its own files and pictures that it made, and call this service. */
const POLICY = policy({
  'script-src': ["'self'"],
  'worker-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'", 'blob:', 'data:'],
  'connect-src': ["'self'"],
});

export default async function playground(app: FastifyInstance, { config }: Dependencies) {
  app.addHook('onRequest', async (_, reply) => {
    await reply.helmet({ contentSecurityPolicy: { useDefaults: false, directives: POLICY } });
  });
  await app.register(fastifyStatic, {
    root: ROOT,
    prefix: '/playground/',
    index: false,
    wildcard: false, // a route for each file, so that anything else is a 404
    preCompressed: true,
    cacheControl: false,
    setHeaders: (response) => response.header('cache-control', 'no-cache'), // always revalidated, so that a new version shows at once
  });
  app.get('/', { schema: { hide: true } as never }, (_, reply) => reply.sendFile('index.html'));
  // The page tells of a picture that is too large when it is opened, before it is sent.
  app.get('/playground/limits.json', { schema: { hide: true } as never }, () => ({
    max_pixels: config.MAX_PIXELS,
    max_side: config.MAX_SIDE,
    max_upload_bytes: config.MAX_UPLOAD_BYTES,
  }));
}

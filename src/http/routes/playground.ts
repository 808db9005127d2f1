import path from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import type { Dependencies } from '../dependencies.ts';
import { policy } from '../plugins/headers.ts';

/** The page as `npm run build:page` makes it, whether this file is the source or was compiled to dist/http/routes. */
const OWN = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../../dist/playground' : '../../playground', import.meta.url),
);

/** The page may load its own files and pictures that it made, and call this service. */
const ALLOWED = {
  'script-src': ["'self'"],
  'worker-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'", 'blob:', 'data:'],
  'connect-src': ["'self'"],
};

/** A page that is not ours may also style its elements, read pictures that it made, and load its own fonts. */
const ALLOWED_TO_OTHERS = {
  ...ALLOWED,
  'style-src': ["'self'", "'unsafe-inline'"],
  'connect-src': ["'self'", 'blob:'],
  'font-src': ["'self'"],
};

/** The page at `/`: the service's own, or that of PAGE_DIR. */
export default async function playground(app: FastifyInstance, { config }: Dependencies) {
  const { PAGE_DIR } = config;
  const directives = policy(PAGE_DIR ? ALLOWED_TO_OTHERS : ALLOWED);
  app.addHook('onRequest', async (_, reply) => {
    await reply.helmet({ contentSecurityPolicy: { useDefaults: false, directives } });
  });
  await app.register(fastifyStatic, {
    root: PAGE_DIR ? path.resolve(PAGE_DIR) : OWN,
    prefix: PAGE_DIR ? '/' : '/playground/',
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

import helmet from '@fastify/helmet';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';

/** No answer of the API is a page: whatever a browser takes it for, it may load and run nothing. */
const NOTHING = {
  'default-src': ["'none'"],
  'base-uri': ["'none'"],
  'form-action': ["'none'"],
  'frame-ancestors': ["'none'"],
};

/** A page's Content-Security-Policy: nothing but what is named. */
export const policy = (allowed: Record<string, string[]>) => ({ ...NOTHING, ...allowed });

/** What tells browsers to be careful; a page's route says in its `helmet` option, or in its own header, what it needs. */
export default fp(async function headers(app: FastifyInstance) {
  await app.register(helmet, { contentSecurityPolicy: { useDefaults: false, directives: NOTHING } });
});

import helmet from '@fastify/helmet';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';

/** Answers of the API are not pages: even if a browser renders one, it may load and run nothing. */
const NOTHING = {
  'default-src': ["'none'"],
  'base-uri': ["'none'"],
  'form-action': ["'none'"],
  'frame-ancestors': ["'none'"],
};

/** The Content-Security-Policy of a page: everything is forbidden except what is listed. */
export const policy = (allowed: Record<string, string[]>) => ({ ...NOTHING, ...allowed });

/** Security headers on every answer. A page's route sets its own policy. */
export default fp(async function headers(app: FastifyInstance) {
  await app.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: NOTHING },
    strictTransportSecurity: false, // it would apply to the whole host and its subdomains: the proxy that terminates TLS decides
    xFrameOptions: { action: 'deny' }, // like frame-ancestors, for old browsers
  });
});

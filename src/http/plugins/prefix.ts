import type { IncomingMessage } from 'node:http';
import proxyAddr from '@fastify/proxy-addr';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import type { Config } from '../../config/settings.ts';
import { PATH_PREFIX } from '../../config/values.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** What stands before the service's own paths in the client's addresses: '' or like `/ai`. */
    pathPrefix: string;
  }
}

/** Lets a request with BASE_PATH in its path be routed like one without: proxies strip it, or do not. */
export function withoutBasePath(basePath: string | undefined) {
  if (basePath === undefined) return undefined;
  return ({ url = '/' }: IncomingMessage): string => {
    if (!url.startsWith(basePath)) return url;
    const rest = url.slice(basePath.length);
    if (rest.startsWith('/')) return rest;
    return rest === '' || rest.startsWith('?') ? `/${rest}` : url;
  };
}

/** Links lead to where the client finds the service: behind X-Forwarded-Prefix of a trusted proxy, else behind BASE_PATH. */
export default fp(async function prefix(app: FastifyInstance, { config }: { config: Config }) {
  const { BASE_PATH = '', TRUST_PROXY } = config;
  const trusted = TRUST_PROXY ? proxyAddr.compile(TRUST_PROXY) : () => false;
  app.decorateRequest('pathPrefix', '');
  app.addHook('onRequest', async (request, reply) => {
    request.pathPrefix = forwarded(request) ?? BASE_PATH;
    // The page and Swagger UI name their files relative to an address that ends with a slash.
    const [path] = request.originalUrl.split('?');
    if (request.method !== 'GET') return;
    if (BASE_PATH && path === BASE_PATH) return reply.redirect(`${path.split('/').at(-1)}/`);
    if (request.routeOptions.url === '/docs' && !path.endsWith('/')) return reply.redirect('docs/');
  });

  function forwarded({ headers, socket }: FastifyRequest): string | undefined {
    const value = headers['x-forwarded-prefix'];
    if (typeof value !== 'string' || !trusted(socket.remoteAddress ?? '', 0)) return undefined;
    const path = value.replace(/\/$/, '');
    return path === '' || PATH_PREFIX.test(path) ? path : undefined;
  }
});

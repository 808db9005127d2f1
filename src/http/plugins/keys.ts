import type { FastifyInstance, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { type ApiKey, findKey } from '../../config/api-keys.ts';
import type { Config } from '../../config/settings.ts';
import { Problem } from '../problem.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The API key that it was sent with; undefined when API_KEYS is not set, and on paths that need no key. */
    apiKey: ApiKey | undefined;
  }
}

/** Paths of the API: its own, and those of the services whose clients are served. */
const API = /^\/(v1|v2|api\/v1)(\/|$)/;

/** Whether a route belongs to the API. Probes, documentation and pages do not. */
export const isApi = (pattern = '') => API.test(pattern) && !isProbe(pattern);

/** Probes and scrapes: requested every few seconds by machines, and answered however many connections are open. */
export const isProbe = (pattern = '') => /^\/((v2\/)?health\/|metrics$)/.test(pattern);

/** Whether a route needs a key. /metrics does: Prometheus can send one, or scrape METRICS_PORT. */
export const needsKey = (pattern: string | undefined) => isApi(pattern) || pattern === '/metrics';

/** With API_KEYS, the API and /metrics need a key. */
export default fp(async function keys(app: FastifyInstance, { config }: { config: Config }) {
  app.decorateRequest('apiKey', undefined);
  const { API_KEYS: known } = config;
  if (!known) return;
  app.addHook('onRequest', async (request, reply) => {
    if (!needsKey(request.routeOptions.url)) return; // the route's pattern: one path can be written in many ways
    const presented = presentedKey(request);
    request.apiKey = presented === undefined ? undefined : findKey(known, presented);
    if (request.apiKey) return;
    const error = presented === undefined ? '' : ', error="invalid_token"';
    reply.header('www-authenticate', `Bearer realm="ddpm-inpaint"${error}`);
    const why = presented === undefined ? 'send an API key' : 'the API key is not valid; send a valid one';
    throw new Problem('unauthorized', `${why}, as Authorization: Bearer <key> or x-api-key: <key>`);
  });
});

function presentedKey({ headers }: FastifyRequest): string | undefined {
  const bearer = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
  const plain = headers['x-api-key'];
  return bearer ?? (typeof plain === 'string' ? plain : undefined);
}

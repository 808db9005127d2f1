import rateLimit, { normalizeIP } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { Redis } from 'ioredis';
import { type RateLimit, unitOf } from '../../config/api-keys.ts';
import type { Config } from '../../config/settings.ts';
import { reconnectOnError } from '../../jobs/redis/connections.ts';
import { seldom } from '../../seldom.ts';
import { Problem } from '../problem.ts';
import { isApi } from './keys.ts';

/** Whom limits count for: the API key or, without keys, the address (IPv6: the /64 network). */
export const clientOf = ({ apiKey, ip }: Pick<FastifyRequest, 'apiKey' | 'ip'>) =>
  apiKey ? `key:${apiKey.name}` : `address:${normalizeIP(withoutPort(ip))}`;

/** Some proxies write the port as well, which differs in every connection: `192.0.2.1:5678` or `[2001:db8::1]:5678`. */
const withoutPort = (ip: string) => ip.replace(/^\[(.*)\](:\d+)?$|^([^:]*):\d+$/, '$1$3');

/**
 * Limits requests to the API per client. With Redis, over all replicas.
 * While Redis cannot be reached no request is refused: the limit shares capacity fairly, it is not access control.
 */
export default fp(async function limits(app: FastifyInstance, { config }: { config: Config }) {
  const { RATE_LIMIT, API_KEYS = [] } = config;
  if (!RATE_LIMIT && API_KEYS.every(({ limit }) => !limit)) return;
  const limitOf = ({ apiKey }: FastifyRequest): RateLimit | undefined => apiKey?.limit ?? RATE_LIMIT;
  await app.register(rateLimit, {
    allowList: (request) => !isApi(request.routeOptions.url) || !limitOf(request),
    max: (request) => limitOf(request)?.max ?? 0,
    timeWindow: (request) => limitOf(request)?.windowMs ?? 0,
    // With the window: a count on Redis keeps the window that it began with, which another setting may have changed.
    keyGenerator: (request) => `${clientOf(request)}:${limitOf(request)?.windowMs}`,
    errorResponseBuilder: (request, { max, ttl }) =>
      new Problem(
        'rate-limited',
        `at most ${max} requests per ${unitOf(limitOf(request))}; try again in ${Math.ceil(ttl / 1000)} s`,
      ),
    enableDraftSpec: true, // ratelimit-limit, ratelimit-remaining, ratelimit-reset
    skipOnError: true,
    redis: config.REDIS_URL ? connect(app, config.REDIS_URL) : undefined,
    nameSpace: '{ddpm-inpaint}:rate:',
  });
});

/** Milliseconds that a request waits for its count, and after which a connection that does not answer is opened anew. */
const COMMAND_MS = 500;
const SILENCE_MS = 1000;

/** A connection that fails at once while Redis is down or does not answer: a request must not wait for its count. */
function connect(app: FastifyInstance, url: string): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: COMMAND_MS,
    socketTimeout: SILENCE_MS,
    reconnectOnError,
  });
  redis.on(
    'error',
    seldom((err, repeated) =>
      app.log.warn({ err, repeated }, 'Redis error in rate limiting; requests are not limited'),
    ),
  );
  app.addHook('onClose', async () => redis.disconnect());
  return redis;
}

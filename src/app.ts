import accepts from '@fastify/accepts';
import cors from '@fastify/cors';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import ioPaint from './http/compat/iopaint/routes.ts';
import openInferenceProtocol from './http/compat/oip/routes.ts';
import openAiImages from './http/compat/openai/routes.ts';
import type { Dependencies } from './http/dependencies.ts';
import { answerMalformed, answerUnroutable } from './http/malformed.ts';
import bodies from './http/plugins/bodies.ts';
import connections from './http/plugins/connections.ts';
import docs from './http/plugins/docs.ts';
import errors from './http/plugins/errors.ts';
import headers from './http/plugins/headers.ts';
import keys from './http/plugins/keys.ts';
import metricsPlugin, { metricsRoute } from './http/plugins/metrics.ts';
import forms from './http/plugins/multipart.ts';
import prefix, { withoutBasePath } from './http/plugins/prefix.ts';
import rateLimit from './http/plugins/rate-limit.ts';
import requests, { requestId } from './http/plugins/requests.ts';
import { notReady } from './http/problem.ts';
import diffuse from './http/routes/diffuse.ts';
import health from './http/routes/health.ts';
import inpaint from './http/routes/inpaint.ts';
import jobs from './http/routes/jobs.ts';
import models from './http/routes/models.ts';
import playground from './http/routes/playground.ts';
import sample from './http/routes/sample.ts';
import { zodValidator } from './http/validation.ts';
import { pictureBudget } from './image/budget.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** True while the service shuts down: it accepts no new work and reports not ready. */
    draining: boolean;
  }
}

/** How often Node checks for request timeouts. With its default of 30 s, a short timeout could take twice as long. */
const CHECK_CONNECTIONS_MS = 1000;

/** Response headers that pages of CORS_ORIGINS may read, besides those that every page may. */
const EXPOSED_HEADERS = [
  'inference-header-content-length',
  'x-ignored-parameters',
  'x-seed',
  'x-model',
  'x-steps',
  'x-precision',
  'x-request-id',
  'retry-after',
  'ratelimit-limit',
  'ratelimit-remaining',
  'ratelimit-reset',
  'location',
  'server-timing',
];

/** Builds the app from its dependencies, without listening. Closing the app closes the registry and its workers. */
export async function buildApp(
  dependencies: Dependencies,
  logger?: FastifyBaseLogger,
): Promise<FastifyInstance> {
  const { config, registry, metrics } = dependencies;
  pictureBudget.configure(config.MAX_DECODED_BYTES);
  const app: FastifyInstance = Fastify({
    loggerInstance: logger,
    // plugins/requests.ts writes one line per request.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: requestId,
    bodyLimit: config.MAX_UPLOAD_BYTES,
    forceCloseConnections: 'idle', // close() waits for responses, not for idle keep-alive connections
    requestTimeout: config.REQUEST_TIMEOUT_MS,
    http: {
      requireHostHeader: false, // Node's 400 has no body; plugins/requests.ts answers with a problem document
      connectionsCheckingInterval: CHECK_CONNECTIONS_MS,
    },
    trustProxy: config.TRUST_PROXY,
    rewriteUrl: withoutBasePath(config.BASE_PATH),
    pluginTimeout: 0, // it also limits onClose hooks, which wait for jobs; the grace period limits those
    clientErrorHandler: (error, socket) => answerMalformed(error, socket, metrics, app.log),
    frameworkErrors: (error, request, reply) => answerUnroutable(error, request, reply, metrics),
    return503OnClosing: false, // the hook below answers with a problem document
  });
  // RFC 9110, 10.1.1: unknown expectations are ignored. By default Node answers 417, without a body.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.setValidatorCompiler(zodValidator as never);
  app.setSerializerCompiler(() => JSON.stringify);
  app.decorate('draining', false);
  await app.register(requests, dependencies); // first: every response has an x-request-id, even if a later hook throws
  app.addHook('onSend', async (_request, reply) => {
    // Otherwise a client could delay the shutdown by keeping its connection open.
    if (app.draining) reply.header('connection', 'close');
  });
  app.addHook('onClose', () => registry.close());

  await app.register(connections, dependencies);
  await app.register(errors, dependencies);
  await app.register(headers);
  await app.register(prefix, dependencies);
  await app.register(accepts);
  await app.register(cors, {
    origin: config.CORS_ORIGINS.includes('*') ? '*' : config.CORS_ORIGINS,
    methods: ['GET', 'HEAD', 'POST', 'DELETE'],
    exposedHeaders: EXPOSED_HEADERS,
    strictPreflight: false, // other OPTIONS requests are harmless, and strict mode rejects them with plain text
  });
  app.addHook('onRequest', async (request) => {
    if (app.draining && request.method === 'POST') {
      throw notReady('the service is shutting down', 1); // another replica can answer at once
    }
  });
  await app.register(keys, dependencies); // after CORS: a page can read the 401
  await app.register(rateLimit, dependencies);
  if (config.DOCS) await app.register(docs);
  await app.register(bodies, dependencies);
  await app.register(forms, dependencies);
  await app.register(metricsPlugin, dependencies);
  const compat = [openAiImages, openInferenceProtocol, ioPaint];
  for (const route of [inpaint, sample, diffuse, jobs, models, ...compat, health, playground])
    await app.register(route, dependencies);
  return app;
}

/** An app with GET /metrics only, for METRICS_PORT. It has no authentication: restrict access to that port. */
export async function buildMetricsApp(dependencies: Dependencies): Promise<FastifyInstance> {
  const app = Fastify({ forceCloseConnections: true });
  app.setSerializerCompiler(() => JSON.stringify);
  await app.register(metricsRoute, dependencies);
  return app;
}

import accepts from '@fastify/accepts';
import cors from '@fastify/cors';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { Dependencies } from './http/dependencies.ts';
import { clientErrorHandler, frameworkErrors } from './http/malformed.ts';
import bodies from './http/plugins/bodies.ts';
import connections from './http/plugins/connections.ts';
import docs from './http/plugins/docs.ts';
import errors from './http/plugins/errors.ts';
import headers from './http/plugins/headers.ts';
import keys from './http/plugins/keys.ts';
import metricsPlugin, { metricsRoute } from './http/plugins/metrics.ts';
import forms from './http/plugins/multipart.ts';
import rateLimit from './http/plugins/rate-limit.ts';
import requests, { requestId } from './http/plugins/requests.ts';
import { Problem } from './http/problem.ts';
import diffuse from './http/routes/diffuse.ts';
import health from './http/routes/health.ts';
import inpaint from './http/routes/inpaint.ts';
import jobs from './http/routes/jobs.ts';
import models from './http/routes/models.ts';
import playground from './http/routes/playground.ts';
import sample from './http/routes/sample.ts';
import { zodValidator } from './http/validation.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** Set when the service is told to end: no new work, readiness says no. */
    draining: boolean;
  }
}

/** How often Node looks for requests that have taken too long to arrive; its own 30 s would double a short limit. */
const CHECK_CONNECTIONS_MS = 1000;

/** Puts the dependencies together. Does not listen. Closing the app closes the registry, and with it the workers. */
export async function buildApp(
  dependencies: Dependencies,
  logger?: FastifyBaseLogger,
): Promise<FastifyInstance> {
  const { config, registry } = dependencies;
  const app = Fastify({
    loggerInstance: logger,
    // plugins/requests.ts writes one line a request.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: requestId,
    bodyLimit: config.MAX_UPLOAD_BYTES,
    forceCloseConnections: 'idle', // close() waits for answers, not for idle keep-alive connections
    requestTimeout: config.REQUEST_TIMEOUT_MS,
    http: {
      requireHostHeader: false, // Node's refusal has no body; plugins/requests.ts says it as a problem
      connectionsCheckingInterval: CHECK_CONNECTIONS_MS,
    },
    trustProxy: config.TRUST_PROXY,
    pluginTimeout: 0, // it counts for closing too, which waits for jobs: the grace time is the limit there
    clientErrorHandler,
    frameworkErrors,
    return503OnClosing: false, // the hook below says it as a problem
  });
  // RFC 9110, 10.1.1: what else a client may expect is ignored. Node would answer by itself, with a 417 without a body.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.setValidatorCompiler(zodValidator as never);
  app.setSerializerCompiler(() => JSON.stringify);
  app.decorate('draining', false);
  await app.register(requests, dependencies); // first: whatever a later hook throws, the answer has its x-request-id
  app.addHook('onRequest', async (request) => {
    if (app.draining && request.method === 'POST') {
      throw new Problem('not-ready', 'the service is shutting down', { retryAfterS: 1 });
    }
  });
  app.addHook('onSend', async (_request, reply) => {
    // A connection kept alive after its last answer would hold up the end for as long as its client likes.
    if (app.draining) reply.header('connection', 'close');
  });
  app.addHook('onClose', () => registry.close());

  await app.register(connections, dependencies);
  await app.register(errors, dependencies);
  await app.register(headers);
  await app.register(accepts);
  await app.register(cors, {
    origin: config.CORS_ORIGINS.includes('*') ? '*' : config.CORS_ORIGINS,
    strictPreflight: false, // OPTIONS that is no preflight is harmless; its refusal would be a text, not a problem
  });
  await app.register(keys, dependencies); // after CORS: a page can read that its key was refused
  await app.register(rateLimit, dependencies);
  if (config.DOCS) await app.register(docs);
  await app.register(bodies, dependencies);
  await app.register(forms, dependencies);
  await app.register(metricsPlugin, dependencies);
  for (const route of [inpaint, sample, diffuse, jobs, models, health, playground])
    await app.register(route, dependencies);
  return app;
}

/** GET /metrics and nothing else, for METRICS_PORT: whoever reaches that port may read it. */
export async function buildMetricsApp(dependencies: Dependencies): Promise<FastifyInstance> {
  const app = Fastify({ forceCloseConnections: true });
  app.setSerializerCompiler(() => JSON.stringify);
  await app.register(metricsRoute, dependencies);
  return app;
}

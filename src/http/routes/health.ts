import type { FastifyInstance } from 'fastify';
import type { Dependencies } from '../dependencies.ts';
import { problems } from '../openapi.ts';
import { Problem, RETRY_AFTER_S } from '../problem.ts';
import { health } from '../schemas/responses.ts';

const notReady = (why: string) => new Problem('not-ready', why, { retryAfterS: RETRY_AFTER_S });

/** The liveness, readiness and startup probes of Kubernetes. */
export default async function healthRoutes(app: FastifyInstance, { registry }: Dependencies) {
  let started = false;
  const ok = { 200: { description: 'Yes', content: { 'application/json': { schema: health } } } };
  const operation = (operationId: string, summary: string) => ({
    operationId,
    tags: ['operations'],
    summary,
  });

  app.get(
    '/health/live',
    { schema: { ...operation('live', 'Liveness: the process answers'), response: ok } },
    () => ({
      status: 'ok',
    }),
  );

  const ready = () => {
    if (app.draining) throw notReady('the service is shutting down');
    if (!registry.ready) throw notReady(registry.notReadyReason ?? 'not ready');
    started = true;
    return { status: 'ok', model: registry.get().ref };
  };
  const orNotReady = { response: { ...ok, ...problems('not-ready') } };
  app.get(
    '/health/ready',
    { schema: { ...operation('ready', 'Readiness: the default model can answer now'), ...orNotReady } },
    ready,
  );
  app.get(
    '/health/startup',
    { schema: { ...operation('startup', 'Startup: the default model has been loaded once'), ...orNotReady } },
    () => (started ? { status: 'ok' } : ready()),
  );
}

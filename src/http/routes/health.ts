import type { FastifyInstance } from 'fastify';
import type { Dependencies } from '../dependencies.ts';
import { json, problems } from '../openapi.ts';
import { health } from '../schemas/responses.ts';
import { assertServing } from '../serving.ts';

/** The liveness, readiness and startup probes of Kubernetes. */
export default async function healthRoutes(app: FastifyInstance, { registry }: Dependencies) {
  let started = false;
  const ok = (description: string) => ({ 200: json(description, health) });
  const operation = (operationId: string, summary: string, description: string) => ({
    operationId,
    tags: ['operations'],
    summary,
    description,
  });

  app.get(
    '/health/live',
    {
      schema: {
        ...operation('live', 'Liveness: the process answers', 'If this fails, restart the process.'),
        response: ok('The process answers'),
      },
    },
    () => ({
      status: 'ok',
    }),
  );

  const ready = () => {
    assertServing(app, registry);
    started = true;
    return { status: 'ok', model: registry.get().ref };
  };
  const notReady = problems(['not-ready']);
  app.get(
    '/health/ready',
    {
      schema: {
        ...operation(
          'ready',
          'Readiness: the default model can answer now',
          'While this fails, send requests elsewhere.',
        ),
        response: { ...ok('The service is ready'), ...notReady },
      },
    },
    ready,
  );
  app.get(
    '/health/startup',
    {
      schema: {
        ...operation(
          'startup',
          'Startup: the default model has been loaded once',
          'Until then, liveness should not be probed.',
        ),
        response: { ...ok('The default model has been loaded'), ...notReady },
      },
    },
    () => (started ? { status: 'ok' } : ready()),
  );
}

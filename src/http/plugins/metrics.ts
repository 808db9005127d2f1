import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { openMetricsContentType, Registry } from 'prom-client';
import { LOSS_CAUSES } from '../../engine/worker-process.ts';
import { pictureBudget } from '../../image/budget.ts';
import type { Dependencies } from '../dependencies.ts';
import { isDelivered } from '../disconnect.ts';
import { problems, text } from '../openapi.ts';

/**
 * The same metrics in a registry that renders OpenMetrics. prom-client removes `_total` from a counter's name while it
 * does so, permanently: here from a derived object, so that the next scrape as plain text finds the original name.
 */
function asOpenMetrics(registry: Registry): Registry {
  const view = new Registry();
  view.setContentType(openMetricsContentType as typeof Registry.PROMETHEUS_CONTENT_TYPE);
  for (const metric of registry.getMetricsAsArray()) view.registerMetric(Object.create(metric));
  return view;
}

/** Counts requests, and serves GET /metrics unless METRICS_PORT is set. */
export default fp(async function metricsPlugin(app: FastifyInstance, dependencies: Dependencies) {
  const { config, metrics } = dependencies;
  app.addHook('onResponse', async (request, reply) => {
    if (!isDelivered(request)) return; // requests.ts counts the disconnect
    // The route's pattern, not the path: every path would be a time series of its own.
    const route = request.routeOptions.url ?? 'unknown';
    const { method } = request;
    metrics.httpRequests.inc({ route, method, status: reply.statusCode });
    metrics.httpSeconds.observe({ route, method }, reply.elapsedTime / 1000);
  });
  if (config.METRICS_PORT === undefined) await app.register(metricsRoute, dependencies);
});

/** GET /metrics as Prometheus text or, when asked, OpenMetrics. */
export async function metricsRoute(app: FastifyInstance, { metrics, registry }: Dependencies) {
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'metrics',
        tags: ['operations'],
        summary: 'Metrics, as Prometheus text or OpenMetrics',
        description:
          'With METRICS_PORT they are on that port instead, without a key. docs/monitoring.md explains each.',
        response: {
          200: {
            description: 'The metrics',
            content: { 'text/plain': { schema: text }, 'application/openmetrics-text': { schema: text } },
          },
          ...problems(['unauthorized']),
        },
      },
    },
    async (request, reply) => {
      metrics.ready.set(registry.ready ? 1 : 0);
      metrics.pictureBytes.set(pictureBudget.held);
      sampleModels();
      const openMetrics = request.headers.accept?.includes('application/openmetrics-text') ?? false;
      const shown = openMetrics ? asOpenMetrics(metrics.registry) : metrics.registry;
      return reply.type(shown.contentType).send(await shown.metrics());
    },
  );

  function sampleModels() {
    // Versions come and go, and a fallback changes labels: no stale series may remain.
    const { queueDepth, active, workers, engineInfo, deviceMemory } = metrics;
    for (const gauge of [queueDepth, active, workers, engineInfo, deviceMemory]) gauge.reset();
    for (const { ref: model, scheduler, engine, workers } of registry.list()) {
      if (!scheduler || !engine) continue;
      const { waiting, active } = scheduler.depth;
      metrics.queueDepth.set({ model }, waiting);
      metrics.active.set({ model }, active);
      const { engine: name, device, deviceName, library, precision, deviceMemoryBytes } = engine;
      metrics.workers.set({ model, engine: name, device }, workers?.alive ?? 0);
      const labels = { model, engine: name, device, device_name: deviceName, library, precision };
      metrics.engineInfo.set(labels, 1);
      if (deviceMemoryBytes) metrics.deviceMemory.set({ model }, deviceMemoryBytes);
      // So that the first restart is an increase.
      for (const reason of LOSS_CAUSES) metrics.workerRestarts.inc({ model, reason }, 0);
    }
  }
}

import { inspect } from 'node:util';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { buildApp, buildMetricsApp } from './app.ts';
import { type Config, ConfigError, forgetSecrets, readConfig, secretsIn, shown } from './config/settings.ts';
import { EngineError, type EngineInfo } from './engine/engine.ts';
import { JobStoreError } from './jobs/job.ts';
import { createLog, describeError, redactor } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { ModelFolderError } from './model/folder.ts';
import type { ModelHooks } from './registry/model-version.ts';
import { FolderRegistry } from './registry/registry.ts';
import { startTracing, TracingError } from './tracing.ts';

class ListenError extends Error {}

const redact = redactor(secretsIn(process.env));
try {
  await start();
} catch (error) {
  // What the operator can mend is a sentence; anything else shows where it came from.
  const expected = [
    ConfigError,
    ModelFolderError,
    EngineError,
    JobStoreError,
    ListenError,
    TracingError,
  ].some((of) => error instanceof of);
  console.error(redact(expected ? (error as Error).message : inspect(describeError(error))));
  process.exit(1);
}

async function start() {
  const config = readConfig(process.env);
  const log = createLog(config.LOG_LEVEL, redact);
  process.on('uncaughtException', (err) => {
    log.fatal({ err }, 'nobody foresaw this; the process ends');
    process.exit(1);
  });
  const metrics = createMetrics();
  const stopTracing = await startTracing(process.env, log);
  forgetSecrets(process.env); // the workers load models: files that come from elsewhere
  const registry = await FolderRegistry.open({
    modelDir: config.MODEL_DIR,
    defaultModel: config.DEFAULT_MODEL,
    servingFile: config.SERVING_FILE,
    idleMs: config.MODEL_IDLE_MS,
    engine: {
      engine: config.ENGINE,
      device: config.DEVICE,
      maxBatch: config.MAX_BATCH,
      fallback: config.ENGINE_FALLBACK,
      queueLimit: config.QUEUE_LIMIT,
    },
    hooks: measured(metrics, log),
    log,
  });
  const parts = { config, registry, metrics };
  const app = await buildApp(parts, log);

  drainOnSignals(app, log, config.SHUTDOWN_GRACE_MS, stopTracing);
  if (config.METRICS_PORT !== undefined) {
    const scrapes = await buildMetricsApp(parts);
    app.addHook('onClose', () => scrapes.close()); // last: the end can be watched
    await listen(scrapes, config, 'METRICS_PORT');
    log.info(`metrics at http://localhost:${portOf(scrapes)}/metrics`);
  }
  await listen(app, config, 'PORT'); // probes are answered while the model loads
  followFolder(registry, config.RELOAD_INTERVAL_MS);
  await registry.start();
  const model = registry.get();
  const { engine } = await model.open();
  log.info(
    { settings: shown(config) },
    `listening on http://localhost:${portOf(app)} - ${model.ref} on ${engine.engine}/${engine.device}` +
      `${config.DOCS ? ' - docs at /docs' : ''}`,
  );
}

async function listen(app: FastifyInstance, config: Config, setting: 'PORT' | 'METRICS_PORT') {
  const { HOST: host, LOG_LEVEL, [setting]: port } = config;
  app.log.level = 'warn'; // Fastify would write a line for every network interface
  await app.listen({ host, port }).catch((error) => {
    throw new ListenError(`cannot listen on HOST ${host}, ${setting} ${port}: ${error.message}`);
  });
  app.log.level = LOG_LEVEL;
}

function portOf(app: FastifyInstance): number | undefined {
  const address = app.server.address();
  return typeof address === 'object' ? address?.port : undefined;
}

/** Ready turns false, what is in flight finishes, the process exits 0; 1 when the grace time runs out or when asked twice. */
function drainOnSignals(app: FastifyInstance, log: Logger, graceMs: number, atLast: () => Promise<void>) {
  const drain = (signal: NodeJS.Signals) => {
    if (app.draining) process.exit(1);
    app.draining = true;
    log.info(`${signal}: finishing what is in flight, ${graceMs} ms at most`);
    setTimeout(() => {
      log.warn('the grace time is over; what is left is dropped');
      process.exit(1);
    }, graceMs).unref();
    void app
      .close()
      .then(atLast)
      .catch((err) => log.warn({ err }, 'tracing: the last spans are lost'))
      .then(() => process.exit(0));
  };
  process.on('SIGTERM', drain);
  process.on('SIGINT', drain);
}

/** New and changed models are taken up without a restart. */
function followFolder(registry: FolderRegistry, intervalMs: number) {
  const reload = () => void registry.reload();
  if (intervalMs > 0) setInterval(reload, intervalMs).unref();
  // In a terminal the signal says that it was closed, and ends the process.
  if (!process.stdin.isTTY) process.on('SIGHUP', reload);
}

function measured(metrics: Metrics, log: Logger): ModelHooks {
  const ref = ({ id, version }: { id: string; version: string }) => `${id}@${version}`;
  return {
    onBatch: (card, rows) => metrics.batchRows.observe({ model: ref(card) }, rows),
    onEvaluation: (card, { engine, device }, _rows, seconds) =>
      metrics.evaluationSeconds.observe({ model: ref(card), engine, device }, seconds),
    onLoaded: (card, { engine, device, deviceName, workers, workersReason, bestBatch }) =>
      log.info(
        `${ref(card)}: loaded on ${engine}/${device} (${deviceName}); ` +
          `workers: ${workers} (${workersReason}); batch size: ${bestBatch}`,
      ),
    onRuntimeSkipped: (card, { library, device }, reason) =>
      log.info(`${ref(card)}: not on ${library} (${device}): ${reason}`),
    onFallback: (card, from, to, why) => {
      const name = ({ engine, device }: EngineInfo) => `${engine}/${device}`;
      metrics.engineFallbacks.inc({ model: ref(card), from: name(from), to: name(to) });
      log.error(
        `${ref(card)}: the workers on ${name(from)} keep failing (${why}); ${name(to)} serves instead`,
      );
    },
    onReload: (model, result) => metrics.reloads.inc({ model, result }),
    onRestart: (card, how) => {
      metrics.workerRestarts.inc({ model: ref(card) });
      log.warn(`${ref(card)}: a worker ${how}; another takes its place`);
    },
  };
}

import { inspect } from 'node:util';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { queueShares } from './config/queue-shares.ts';
import { ConfigError, readConfig } from './config/read.ts';
import { forgetSecrets, maskSecrets, secretsIn } from './config/secrets.ts';
import type { Config } from './config/settings.ts';
import { EngineError, type EngineInfo, type NetworkName } from './engine/engine.ts';
import { defaultCacheDir } from './engine/tuning.ts';
import { JobStoreError } from './jobs/job.ts';
import { createLog, describeError, redactor } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { type ModelCard, refOf } from './model/card.ts';
import { ModelFolderError } from './model/folder.ts';
import type { ModelHooks } from './registry/model-version.ts';
import { FolderRegistry } from './registry/registry.ts';
import { startTracing, TracingError } from './tracing.ts';

/** Added to the time that requests have to finish: closing takes a moment, for a worker that is busy two seconds. */
const CLOSE_MS = 3000;

/** The service cannot listen on its address. */
class ListenError extends Error {}

const redact = redactor(secretsIn(process.env));
try {
  await start();
} catch (error) {
  // Errors that the operator can fix are one sentence; all others are printed with their stack.
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
  const exit = () => process.exit(0);
  process.once('SIGTERM', exit); // a container's first process ignores signals that it does not handle
  let registry: FolderRegistry | undefined;
  const reload = () => void registry?.reload();
  // In a terminal, SIGHUP means that the terminal was closed; the default action ends the process.
  if (!process.stdin.isTTY) process.on('SIGHUP', reload);
  const config = readConfig(process.env);
  const log = createLog(config.LOG_LEVEL, redact);
  process.on('uncaughtException', (err) => {
    log.fatal({ err }, 'uncaught exception; exiting');
    process.exit(1);
  });
  process.stderr.on('error', () => {}); // what a worker or a library writes there is lost; the service goes on
  const metrics = createMetrics();
  const stopTracing = await startTracing(process.env, log);
  forgetSecrets(process.env); // child processes, which load third-party files, must not inherit them
  registry = await FolderRegistry.open({
    modelDir: config.MODEL_DIR,
    defaultModel: config.DEFAULT_MODEL,
    servingFile: config.SERVING_FILE,
    aliases: config.MODEL_ALIASES,
    idleMs: config.MODEL_IDLE_MS,
    engine: {
      engine: config.ENGINE,
      device: config.DEVICE,
      precision: config.PRECISION,
      maxBatch: config.MAX_BATCH,
      cacheDir: config.CACHE_DIR ?? defaultCacheDir(),
      fallback: config.ENGINE_FALLBACK,
    },
    queue: { limit: config.QUEUE_LIMIT, ...queueShares(config) },
    hooks: modelHooks(metrics, log),
    log,
  });
  const loading = registry.start();
  loading.catch(() => {}); // awaited below
  // The workers start while this process reads the app's files, which takes most of its time until it listens.
  const { buildApp, buildMetricsApp } = await import('./app.ts');
  const dependencies = { config, registry, metrics };
  const app = await buildApp(dependencies, log);

  process.off('SIGTERM', exit);
  drainOnSignals(app, log, config.SHUTDOWN_GRACE_MS, stopTracing);
  if (config.METRICS_PORT !== undefined) {
    const scrapes = await buildMetricsApp(dependencies);
    app.addHook('onClose', () => scrapes.close()); // closed last, so that the shutdown can be observed
    await listen(scrapes, config, 'METRICS_PORT');
    log.info(`metrics at http://localhost:${portOf(scrapes)}/metrics`);
  }
  await listen(app, config, 'PORT'); // before the model is loaded, so that probes are answered
  if (config.RELOAD_INTERVAL_MS > 0) setInterval(reload, config.RELOAD_INTERVAL_MS).unref();
  await loading;
  if (app.draining) return;
  const model = registry.get();
  const { engine } = await model.open();
  log.info(
    { settings: maskSecrets(config) },
    `listening on http://localhost:${portOf(app)} - ${model.ref} on ${engine.engine}/${engine.device}` +
      `${config.DOCS ? ' - docs at /docs' : ''}`,
  );
}

async function listen(app: FastifyInstance, config: Config, setting: 'PORT' | 'METRICS_PORT') {
  const { HOST: host, LOG_LEVEL, [setting]: port } = config;
  app.log.level = 'warn'; // at level info, Fastify logs one line for each network interface
  await app.listen({ host, port }).catch((error) => {
    throw new ListenError(`cannot listen on HOST ${host}, ${setting} ${port}: ${error.message}`);
  });
  app.log.level = LOG_LEVEL;
}

function portOf(app: FastifyInstance): number | undefined {
  const address = app.server.address();
  return typeof address === 'object' ? address?.port : undefined;
}

/**
 * On SIGTERM or SIGINT, the service becomes unready, finishes the requests in progress and exits with code 0.
 * CLOSE_MS after the grace time, or on a second signal, it exits at once with code 1.
 *
 * @param afterClose runs when all requests are finished
 */
function drainOnSignals(app: FastifyInstance, log: Logger, graceMs: number, afterClose: () => Promise<void>) {
  const drain = (signal: NodeJS.Signals) => {
    if (app.draining) process.exit(1);
    app.draining = true;
    log.info(`${signal}: shutting down; requests in progress have ${graceMs} ms to finish`);
    setTimeout(() => {
      log.warn('the grace time is over; dropping the remaining requests');
      process.exit(1);
    }, graceMs + CLOSE_MS).unref();
    void app
      .close()
      .then(afterClose)
      .catch((err) => log.warn({ err }, 'tracing: the last spans could not be sent'))
      .then(() => process.exit(0));
  };
  process.on('SIGTERM', drain);
  process.on('SIGINT', drain);
}

/** Counts what happens to models in the metrics, and logs what the operator should know. */
function modelHooks(metrics: Metrics, log: Logger): ModelHooks {
  const warnOfUnserved = (card: ModelCard, engine: string, served: NetworkName[]) => {
    if (card.refiner && !served.includes('refiner'))
      log.warn(`${refOf(card)}: ${engine} serves the base network alone, so fills are not refined`);
  };
  return {
    onBatch: (card, rows) => metrics.batchRows.observe({ model: refOf(card) }, rows),
    onEvaluation: (card, { engine, device }, { network }, seconds) =>
      metrics.evaluationSeconds.observe({ model: refOf(card), network, engine, device }, seconds),
    onLoaded: (card, { engine, device, deviceName, networks, workers, workersReason, bestBatch }) => {
      log.info(
        `${refOf(card)}: loaded on ${engine}/${device} (${deviceName}); ` +
          `workers: ${workers} (${workersReason}); batch size: ${bestBatch}`,
      );
      warnOfUnserved(card, engine, networks);
    },
    onRuntimeSkipped: (card, { library, device }, reason) =>
      log.info(`${refOf(card)}: skipped runtime ${library} (${device}): ${reason}`),
    onFallback: (card, from, to, why) => {
      const name = ({ engine, device }: EngineInfo) => `${engine}/${device}`;
      metrics.engineFallbacks.inc({ model: refOf(card), from: name(from), to: name(to) });
      log.error(`${refOf(card)}: workers on ${name(from)} keep failing (${why}); switched to ${name(to)}`);
      warnOfUnserved(card, to.engine, to.networks);
    },
    onReload: (model, result) => metrics.reloads.inc({ model, result }),
    onReplaceFailed: (card, why) =>
      log.error(`${refOf(card)}: a replacement did not start: ${why}; trying again`),
    onRestart: (card, how, reason) => {
      metrics.workerRestarts.inc({ model: refOf(card), reason });
      log.warn(`${refOf(card)}: a worker ${how}; starting a replacement`);
    },
  };
}

import { buildApp } from '../../src/app.ts';
import { queueShares } from '../../src/config/queue-shares.ts';
import { readConfig } from '../../src/config/read.ts';
import { secretsIn } from '../../src/config/secrets.ts';
import {
  type Batch,
  type Engine,
  EngineError,
  type EngineInfo,
  type RowSeconds,
} from '../../src/engine/engine.ts';
import { createLog, redactor } from '../../src/log.ts';
import { createMetrics } from '../../src/metrics.ts';
import { modelCard } from '../../src/model/card.ts';
import { type ModelRegistry, UnknownModelError } from '../../src/registry/registry.ts';
import type { ServedModel } from '../../src/registry/served-model.ts';
import { Admission } from '../../src/scheduler/admission.ts';
import { Scheduler } from '../../src/scheduler/scheduler.ts';

const CARD = modelCard.parse({
  id: 'fake',
  version: '1',
  description: 'predicts nothing',
  licence: 'none',
  conditioning: 'inpaint',
  resolution: 8,
  in_channels: 4,
  out_channels: 3,
  prediction: 'epsilon',
  schedule: { type: 'cosine', T: 100 },
  architecture: { patch: 1, channels: [8], blocks: 1, attention: [], head_dim: 8, groups: 1 },
  defaults: { sampler: 'ddim', steps: 4, eta: 0 },
  data: { name: 'none', terms: 'none', pictures: 0 },
  training: {},
  metrics: {},
  precision: { weights: 'fp32', max_difference: 0 },
  files: { 'unet.onnx': { sha256: 'a'.repeat(64), bytes: 1 } },
});

/** An engine that predicts zeros after `delayMs`, or fails. */
class FakeEngine implements Engine {
  readonly info: EngineInfo = {
    engine: 'onnx',
    device: 'cpu',
    deviceName: 'fake',
    library: 'fake',
    precision: 'fp32',
    networks: ['base'],
    bestBatch: 4,
    workers: 1,
  };
  rowSeconds: RowSeconds = { base: 0.001 };
  alive = 1;
  onAliveChange: (() => void) | undefined;
  delayMs = 0;
  failing = false;
  /** How long each evaluation has taken, in milliseconds. */
  readonly tookMs: number[] = [];
  /** Resolves when hold() has blocked an evaluation. */
  blocked = Promise.resolve();
  /** Lets the evaluations that hold() has blocked go on. */
  resume = () => {};
  #wait = async () => {};

  /** Blocks evaluations that start from now on, until the returned function is called. */
  hold(): () => void {
    const resumed = new Promise<void>((resolve) => {
      this.resume = resolve;
    });
    this.blocked = new Promise((resolve) => {
      this.#wait = () => {
        resolve();
        return resumed;
      };
    });
    return this.resume;
  }

  async evaluate({ rows }: Batch): Promise<Float32Array> {
    const started = performance.now();
    await this.#wait();
    await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    this.tookMs.push(performance.now() - started);
    if (this.failing) throw new EngineError('nothing a client should read');
    return new Float32Array(rows * 3 * CARD.resolution ** 2);
  }

  async close() {}
}

/** A registry with one model without a network, for fast tests of the HTTP layer. */
export class FakeRegistry implements ModelRegistry {
  readonly engine = new FakeEngine();
  readonly scheduler: Scheduler;
  readonly #model: ServedModel;

  notReadyReason: string | undefined;
  /** While the model loads: resolves when it is loaded. */
  loading: Promise<void> | undefined;

  constructor(config = readConfig({})) {
    const admission = new Admission({ limit: 16, ...queueShares({ ...config, QUEUE_LIMIT: 16 }) });
    this.scheduler = new Scheduler({ engine: this.engine, admission });
    const { scheduler, engine } = this;
    const loading = () => this.loading;
    this.#model = {
      ref: 'fake@1',
      created: new Date(0),
      card: CARD,
      digest: CARD.files['unet.onnx'].sha256,
      state: 'ready',
      engine: engine.info,
      workers: { alive: 1, total: 1 },
      admission,
      get scheduler() {
        return loading() ? undefined : scheduler;
      },
      get rowSeconds() {
        return engine.rowSeconds;
      },
      open: async () => {
        await loading();
        return { scheduler, engine: engine.info };
      },
    };
  }

  get ready() {
    return this.notReadyReason === undefined;
  }

  list() {
    return [this.get()];
  }

  shareOf() {
    return 1;
  }

  async reload() {}

  get(reference = 'fake'): ServedModel {
    if (reference !== 'fake' && reference !== 'fake@1') throw new UnknownModelError(`no ${reference}`);
    return this.#model;
  }

  async close() {}
}

export type LogLine = { level: number; msg: string } & Record<string, unknown>;

/** Starts the service with the fake model on a free port, and records its log. */
export async function startFakeApp(env: Record<string, string> = {}) {
  const config = readConfig(env);
  const registry = new FakeRegistry(config);
  const metrics = createMetrics();
  const log: LogLine[] = [];
  const logger = createLog(env.LOG_LEVEL ?? 'info', redactor(secretsIn(env)), {
    write: (line) => void log.push(JSON.parse(line)),
  });
  const app = await buildApp({ config, registry, metrics }, logger);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return { app, registry, metrics, log, url, port: Number(new URL(url).port) };
}

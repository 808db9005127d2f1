import type { FastifyInstance } from 'fastify';
import sharp from 'sharp';
import { buildApp } from '../../src/app.ts';
import { queueShares } from '../../src/config/queue-shares.ts';
import { readConfig } from '../../src/config/read.ts';
import { createMetrics, type Metrics } from '../../src/metrics.ts';
import type { FolderRegistry } from '../../src/registry/registry.ts';
import { openRealRegistry } from './model.ts';
import { PATIENT } from './process.ts';

export interface TestApp {
  app: FastifyInstance;
  registry: FolderRegistry;
  metrics: Metrics;
  /** The base URL of the service, on a free port. */
  url: string;
}

/** Starts the whole service with the real model, or those of MODEL_DIR, on a free port. env: settings, as environment variables. */
export async function startApp(env: Record<string, string> = {}): Promise<TestApp> {
  const config = readConfig({ ...PATIENT, ...env });
  const registry = await openRealRegistry(
    { limit: config.QUEUE_LIMIT, ...queueShares(config) },
    env.MODEL_DIR,
  );
  const metrics = createMetrics();
  const app = await buildApp({ config, registry, metrics });
  await registry.get().open();
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return { app, registry, metrics, url };
}

/** A picture in which neighbouring pixels have different colours. */
export function rgb(width: number, height: number, channels: 3 | 4 = 3) {
  const data = Buffer.alloc(width * height * channels);
  for (let i = 0; i < data.length; i++) data[i] = (i * 97 + (i >> 7) * 31) & 255;
  return sharp(data, { raw: { width, height, channels } });
}

export const pngOf = (width: number, height: number) => rgb(width, height).png().toBuffer();

/** A black mask with a white box in the centre, whose sides are `fraction` (0..1) of the mask's sides. */
export function maskOf(width: number, height: number, fraction = 0.5): Promise<Buffer> {
  const w = Math.max(fraction > 0 ? 1 : 0, Math.round(width * fraction));
  const h = Math.max(fraction > 0 ? 1 : 0, Math.round(height * fraction));
  const data = Buffer.alloc(width * height);
  const left = (width - w) >> 1;
  const top = (height - h) >> 1;
  for (let y = top; y < top + h; y++) data.fill(255, y * width + left, y * width + left + w);
  return sharp(data, { raw: { width, height, channels: 1 } })
    .png()
    .toBuffer();
}

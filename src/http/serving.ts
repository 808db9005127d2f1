import type { FastifyInstance } from 'fastify';
import type { ModelRegistry } from '../registry/registry.ts';
import { Problem, RETRY_AFTER_S } from './problem.ts';

const notReady = (why: string) => new Problem('not-ready', why, { retryAfterS: RETRY_AFTER_S });

/** Throws Problem 'not-ready' unless the default model can answer now, and will for a while. */
export function assertServing(app: FastifyInstance, registry: ModelRegistry): void {
  if (app.draining) throw notReady('the service is shutting down');
  if (!registry.ready) throw notReady(registry.notReadyReason ?? 'not ready');
}

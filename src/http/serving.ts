import type { FastifyInstance } from 'fastify';
import type { ModelRegistry } from '../registry/registry.ts';
import { notReady } from './problem.ts';

/** Throws Problem 'not-ready' unless the default model can answer now, and will for a while. */
export function assertServing(app: FastifyInstance, registry: ModelRegistry): void {
  if (app.draining) throw notReady('the service is shutting down');
  const why = registry.notReadyReason;
  if (why !== undefined) throw notReady(why);
}

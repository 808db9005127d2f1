import { secondsOf } from '../generation/estimate.ts';
import type { Job } from '../jobs/job.ts';
import type { ModelRegistry } from '../registry/registry.ts';
import type { JobResponse } from './schemas/responses.ts';

/** A job as clients and webhooks see it. `prefix`: what stands before the service's paths in their addresses. */
export function jobView(
  { createdAt, startedAt, finishedAt, images, error, owner, work, ...job }: Job,
  prefix: string,
  registry: ModelRegistry,
): JobResponse {
  const model = registry.list().find(({ ref }) => ref === job.parameters.model);
  const seconds = work && model && !finishedAt ? secondsOf(work, model) : undefined;
  return {
    ...job,
    parameters: { ...job.parameters },
    created_at: createdAt.toISOString(),
    estimate_seconds: seconds,
    started_at: startedAt?.toISOString(),
    finished_at: finishedAt?.toISOString(),
    error: error as JobResponse['error'],
    images: Array.from({ length: images }, (_, n) => `${prefix}/v1/jobs/${job.id}/images/${n}`),
    events: `${prefix}/v1/jobs/${job.id}/events`,
  };
}

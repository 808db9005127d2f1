import type { Job } from '../jobs/job.ts';
import type { JobResponse } from './schemas/responses.ts';

/** A job as clients and webhooks see it. `prefix`: what stands before the service's paths in their addresses. */
export function jobView(
  { createdAt, startedAt, finishedAt, images, error, owner, ...job }: Job,
  prefix: string,
): JobResponse {
  return {
    ...job,
    parameters: { ...job.parameters },
    created_at: createdAt.toISOString(),
    started_at: startedAt?.toISOString(),
    finished_at: finishedAt?.toISOString(),
    error: error as JobResponse['error'],
    images: Array.from({ length: images }, (_, n) => `${prefix}/v1/jobs/${job.id}/images/${n}`),
    events: `${prefix}/v1/jobs/${job.id}/events`,
  };
}

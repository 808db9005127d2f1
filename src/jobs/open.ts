import type { JobQueue, JobQueueOptions } from './job.ts';
import { MemoryJobQueue } from './memory-queue.ts';
import { RedisJobQueue } from './redis/queue.ts';

export interface OpenOptions extends JobQueueOptions {
  /** REDIS_URL; jobs are kept in memory without it. */
  redisUrl: string | undefined;
  /** Called with every error of Redis. */
  onRedisError: (error: Error) => void;
}

/** Jobs on Redis or in memory. Rejects with JobStoreError when Redis cannot be used. */
export async function openJobQueue({ redisUrl, onRedisError, ...options }: OpenOptions): Promise<JobQueue> {
  if (redisUrl === undefined) return new MemoryJobQueue(options);
  return RedisJobQueue.connect({ ...options, url: redisUrl, onError: onRedisError });
}

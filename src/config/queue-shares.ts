import { hasSeveralOwners } from './api-keys.ts';
import type { Config } from './settings.ts';

/** Images that a request may have, and a job. */
export const MOST_IMAGES = { request: 10, job: 8 };

/**
 * How the queue of a model is shared. Jobs get their share. One job always fits and, with a limit of at least 18, one request
 * beside the jobs.
 */
export function queueShares({
  QUEUE_LIMIT: limit,
  JOB_QUEUE_SHARE: percent,
  API_KEYS,
}: Pick<Config, 'QUEUE_LIMIT' | 'JOB_QUEUE_SHARE' | 'API_KEYS'>) {
  const share = Math.floor((limit * percent) / 100);
  const background = Math.max(MOST_IMAGES.job, Math.min(limit - MOST_IMAGES.request, share));
  return { background, shared: hasSeveralOwners(API_KEYS) };
}

/** As many images as the queue always leaves to a request. */
export const mostAtOnce = (config: Pick<Config, 'QUEUE_LIMIT' | 'JOB_QUEUE_SHARE' | 'API_KEYS'>) =>
  config.QUEUE_LIMIT - queueShares(config).background;

/** The same where each picture enters the queue by itself: of a shared queue, what enters in parts gets half. */
export function mostInParts(config: Pick<Config, 'QUEUE_LIMIT' | 'JOB_QUEUE_SHARE' | 'API_KEYS'>): number {
  const half = Math.floor(config.QUEUE_LIMIT / 2);
  return queueShares(config).shared ? Math.min(mostAtOnce(config), half) : mostAtOnce(config);
}

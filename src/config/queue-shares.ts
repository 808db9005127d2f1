import { hasSeveralOwners } from './api-keys.ts';
import type { Config } from './settings.ts';

/** Images that one request or job may have. */
const MOST_IMAGES = 8;

/** How the queue of a model is shared: jobs get their share, but one job fits, and so does one request beside the jobs. */
export function queueShares({
  QUEUE_LIMIT: limit,
  JOB_QUEUE_SHARE: percent,
  API_KEYS,
}: Pick<Config, 'QUEUE_LIMIT' | 'JOB_QUEUE_SHARE' | 'API_KEYS'>) {
  const share = Math.floor((limit * percent) / 100);
  const background = Math.min(limit - MOST_IMAGES, Math.max(MOST_IMAGES, share));
  return { background, shared: hasSeveralOwners(API_KEYS) };
}

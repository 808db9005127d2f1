import { setTimeout as sleep } from 'node:timers/promises';
import { QueueFullError } from '../scheduler/scheduler.ts';
import type { Perform } from './job.ts';

const RETRY_MS = 250;

/** The network may be full of other people's requests: a job waits then, it does not fail. */
export function whenRoom(perform: Perform): Perform {
  return async (request, options) => {
    for (;;) {
      try {
        return await perform(request, options);
      } catch (error) {
        if (!(error instanceof QueueFullError)) throw error;
        await sleep(RETRY_MS, undefined, { signal: options.signal });
      }
    }
  };
}

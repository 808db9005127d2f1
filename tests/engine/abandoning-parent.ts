import { WorkerPool } from '../../src/engine/pool.ts';
import { realModelSpec } from '../helpers/model.ts';

/** Starts a worker, tells its process id to the parent, and exits on the message "exit" without closing anything. */
const pool = await WorkerPool.start({ spec: await realModelSpec(), workers: 1 });
process.on('message', () => process.exit(1));
process.send?.(pool.pids[0]);

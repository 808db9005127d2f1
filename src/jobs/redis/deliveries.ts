import { DelayedError, type Job as Delivery, Queue, Worker } from 'bullmq';
import { WEBHOOK_DELAY_MS, WEBHOOK_TRIES } from '../webhook.ts';
import type { Connections } from './connections.ts';
import type { Ticket } from './store.ts';

/** A replica whose locks are not renewed for this long is considered dead, and others take over its jobs. */
const LOCK_MS = 10_000;
/** Times that a job is taken over from a dead replica before it fails: a job that crashes replicas must not crash all. */
const TAKEOVERS = 20;
/** Attempts after engine failures: another replica may succeed. */
export const TRIES = 3;
const WEBHOOKS_AT_ONCE = 16;

export interface DeliveriesOptions {
  prefix: string;
  connections: Connections;
  concurrency: number;
  /**
   * Runs a job, or resolves to the milliseconds after which any replica is given it again. When it rejects, the job is
   * delivered again, TRIES times at most.
   */
  process: (id: string, attemptsMade: number) => Promise<number | undefined>;
  /** BullMQ gives up on a job, because too many replicas died while they ran it. */
  onGivenUp: (id: string, error: Error) => Promise<void>;
  /** Calls a job's webhook; when it rejects, it is called again, WEBHOOK_TRIES times in all. */
  notify: (id: string, isLastTry: boolean) => Promise<void>;
  onError: (error: Error) => void;
}

interface Payload {
  id: string;
}

/** The ids of jobs and webhooks on their way to a replica, by means of BullMQ: each goes to one replica, and to another one when that dies. */
export class Deliveries {
  readonly #jobs: Queue<Payload>;
  readonly #webhooks: Queue<Payload>;
  readonly #workers: Worker<Payload>[];

  constructor(options: DeliveriesOptions) {
    const { connections, concurrency, onError } = options;
    const names = { prefix: `${options.prefix}bull` };
    const again = (attempts: number, delay: number) => ({
      removeOnComplete: true,
      removeOnFail: true,
      attempts,
      backoff: { type: 'exponential', delay },
    });
    this.#jobs = new Queue('jobs', {
      ...names,
      connection: connections.request,
      defaultJobOptions: again(TRIES, 1000),
    });
    this.#webhooks = new Queue('webhooks', {
      ...names,
      connection: connections.worker,
      defaultJobOptions: again(WEBHOOK_TRIES, WEBHOOK_DELAY_MS),
    });
    const life = { lockDuration: LOCK_MS, stalledInterval: LOCK_MS / 2, maxStalledCount: TAKEOVERS };
    const working = { ...names, ...life, connection: connections.worker };
    const process = async (delivery: Delivery<Payload>, token?: string) => {
      const delayMs = await options.process(delivery.data.id, delivery.attemptsMade);
      if (delayMs === undefined) return;
      await delivery.moveToDelayed(Date.now() + delayMs, token);
      throw new DelayedError();
    };
    const jobs = new Worker<Payload>('jobs', process, { ...working, concurrency });
    const gaveUp = async (delivery: Delivery<Payload> | undefined, error: Error) => {
      if (delivery?.finishedOn) await options.onGivenUp(delivery.data.id, error);
    };
    jobs.on('failed', (delivery, error) => void gaveUp(delivery, error).catch(onError));
    const notify = ({ data, attemptsMade }: Delivery<Payload>) =>
      options.notify(data.id, attemptsMade + 1 === WEBHOOK_TRIES);
    const webhooks = new Worker<Payload>('webhooks', notify, { ...working, concurrency: WEBHOOKS_AT_ONCE });
    this.#workers = [jobs, webhooks];
    for (const queue of [this.#jobs, this.#webhooks]) queue.on('error', onError);
    for (const worker of this.#workers) worker.on('error', onError);
  }

  /** Hands jobs to any replica, the smallest priority first; the ids that BullMQ already has are ignored. */
  async add(tickets: Ticket[]): Promise<void> {
    await this.#jobs.addBulk(
      tickets.map(({ id, priority }) => ({ name: 'job', data: { id }, opts: { jobId: id, priority } })),
    );
  }

  /** Takes back a job that no replica has begun. */
  async remove(id: string): Promise<void> {
    await this.#jobs.remove(id).catch(() => {}); // it runs
  }

  async addWebhook(id: string, delayMs: number): Promise<void> {
    await this.#webhooks.add('ended', { id }, { jobId: id, delay: delayMs });
  }

  /** Waits for what runs here. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
    await Promise.all([this.#jobs.close(), this.#webhooks.close()]);
  }
}

import { EngineError } from '../../engine/engine.ts';
import type { ProgressEvent } from '../../generation/progress.ts';
import { UnknownModelError } from '../../registry/registry.ts';
import { type JobOutcome, type JobQueueOptions, MODEL_WAIT_MS } from '../job.ts';
import { TRIES } from './deliveries.ts';
import type { JobStore } from './store.ts';

/**
 * A job that was given back is delivered again after about FIRST_DELAY_MS, doubled each time up to a maximum. It is
 * shorter where a replica serves the model: the job only has to meet it.
 */
const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 2000;
const MAX_UNSERVED_DELAY_MS = 8000;
/** Steps of a job whose progress may wait for Redis, with their previews. While it does not answer, later steps are not told. */
const MAX_UNSAVED = 4;
/** A webhook is called this long after its job has ended, at first. */
const WEBHOOK_AFTER_MS = 100;

type Options = Pick<
  JobQueueOptions,
  'perform' | 'describeError' | 'models' | 'onUnknownModel' | 'modelWaitMs' | 'notify'
> & {
  /** Has the webhook of a job called in `delayMs` milliseconds, by any replica. */
  addWebhook: (id: string, delayMs: number) => Promise<void>;
  onError: (error: Error) => void;
};

/** The service ends while Redis does not answer: what the job has done is lost, and another replica runs it. */
class ShutdownError extends Error {
  override name = 'ShutdownError';
}

/** Runs the jobs that are delivered to this replica, and records how they end. */
export class Performer {
  readonly #options: Options;
  readonly #store: JobStore;
  /** Runs of jobs. After an outage of Redis, a job may be delivered to this replica while it still runs here. */
  readonly #running = new Set<{ id: string; controller: AbortController }>();

  constructor(options: Options, store: JobStore) {
    this.#options = options;
    this.#store = store;
  }

  /** Runs a job; or resolves to the milliseconds after which it is delivered again, to a replica that may have its model. */
  readonly process = async (id: string, attemptsMade: number): Promise<number | undefined> => {
    const model = await this.#store.model(id);
    if (model === undefined) {
      await this.#store.start(id); // the record was lost: this frees what the job occupies
      return;
    }
    const known = this.#options.models?.().some(({ ref }) => ref === model) ?? true;
    if (!known) {
      this.#options.onUnknownModel?.(model);
      return this.#giveBack(id, (seconds) => new UnknownModelError(missing(model, seconds)));
    }
    const controller = new AbortController();
    const { signal } = controller;
    const run = { id, controller };
    this.#running.add(run); // before it starts, so that no cancellation is missed
    let unsaved = 0;
    const onProgress = async (event: ProgressEvent) => {
      if (unsaved >= MAX_UNSAVED) return;
      unsaved++;
      try {
        if (!(await this.#store.progress(id, event))) controller.abort(new Error('the job has ended'));
      } catch (error) {
        this.#options.onError(error as Error);
      } finally {
        unsaved--;
      }
    };
    try {
      const request = await this.#store.start(id);
      if (!request || signal.aborted) return;
      const performed = await this.#options.perform(request, { signal, onProgress }).then(
        (result) => ({ result }),
        (error) => ({ error }),
      );
      if (signal.reason instanceof ShutdownError) throw signal.reason;
      if (signal.aborted) return;
      if ('result' in performed) await this.#end(id, { status: 'succeeded', result: performed.result });
      else return await this.#failed(id, model, performed.error, attemptsMade);
    } finally {
      this.#running.delete(run);
    }
    return undefined;
  };

  /** Whether a job that threw `error` is given back, tried again (rejects with the error), or ends. */
  async #failed(id: string, model: string, error: unknown, attemptsMade: number) {
    if (error instanceof UnknownModelError || this.#hasFailed(model)) return this.#giveBack(id, () => error);
    if (error instanceof EngineError && attemptsMade + 1 < TRIES) throw error;
    await this.#fail(id, error);
    return undefined;
  }

  /** Called when BullMQ gives up on a job, because too many replicas died while they ran it. */
  readonly onGivenUp = (id: string, error: Error): Promise<void> => this.#fail(id, error);

  /** Calls the webhook of a job that has ended. */
  readonly notify = async (id: string, isLastTry: boolean): Promise<void> => {
    const job = await this.#store.get(id);
    if (!job?.webhook) return;
    if (!job.finishedAt) throw new Error(`job ${id} is still ${job.status}`);
    if (job.status === 'cancelled') return; // while it was ending here; webhooks tell of success and failure
    await this.#options.notify?.({ ...job, webhook: job.webhook }, isLastTry);
  };

  /** Tells the other replicas, for `ms` milliseconds, which models can be served here. */
  announce(ms: number): Promise<void> {
    const serving = this.#options.models?.().filter(({ failed }) => !failed) ?? [];
    const refs = serving.map(({ ref }) => ref);
    return this.#store.announce(refs, ms);
  }

  /** Stops the jobs that run here. They have not ended: another replica runs them again. */
  stop(): void {
    for (const { controller } of this.#running) controller.abort(new ShutdownError());
  }

  /** Stops a job that has ended, if it runs here. */
  cancel(id: string): void {
    for (const run of this.#running) if (run.id === id) run.controller.abort(new Error('the job has ended'));
  }

  #hasFailed(model: string): boolean {
    return this.#options.models?.().some(({ ref, failed }) => ref === model && failed) ?? false;
  }

  /**
   * Leaves a job to the other replicas and resolves to the delay before its next delivery. When no replica could serve its
   * model for too long, the job fails instead.
   */
  async #giveBack(id: string, error: (unservedSeconds: number) => unknown): Promise<number | undefined> {
    const state = await this.#store.giveBack(id);
    if (!state) return;
    const { times, unservedMs } = state;
    if (unservedMs >= (this.#options.modelWaitMs ?? MODEL_WAIT_MS)) {
      await this.#fail(id, error(Math.round(unservedMs / 1000)));
      return;
    }
    const most = unservedMs >= 0 ? MAX_UNSERVED_DELAY_MS : MAX_DELAY_MS;
    const delayMs = Math.min(most, FIRST_DELAY_MS * 2 ** (times - 1));
    return delayMs * (0.5 + Math.random()); // so that many jobs do not come back at once
  }

  async #fail(id: string, error: unknown) {
    await this.#end(id, { status: 'failed', error: this.#options.describeError(error, id) });
  }

  async #end(id: string, outcome: JobOutcome) {
    const { webhook } = (await this.#store.get(id)) ?? {};
    // Added before the job ends, so that the webhook is called even if this replica dies here. Until the job has ended, the
    // delivery fails and is tried again.
    if (webhook) await this.#options.addWebhook(id, WEBHOOK_AFTER_MS);
    await this.#store.finish(id, outcome);
  }
}

const missing = (model: string, seconds: number) =>
  `no replica has had the model ${model} for ${seconds} s; send the job again for another version`;

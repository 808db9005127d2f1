import { TryLaterError } from '../retry-after.ts';
import { deficit } from './fair-share.ts';

/** The queue is full. */
export class QueueFullError extends TryLaterError {
  override name = 'QueueFullError';
}

/** Room in the queue for a number of images. It must be released, whatever becomes of them. */
export interface Reservation {
  /** Images that room is still held for. */
  readonly images: number;
  /** It is for a job: nobody waits for an answer. */
  readonly background: boolean;
  /** Releases the room of `images` images; of all remaining ones by default. Releasing more than remain is harmless. */
  release(images?: number): void;
}

export interface QueueLimits {
  /** Images in the system: being decoded, waiting, and running. */
  limit: number;
  /** How many of them may be those of jobs; all by default. At least as many as one job may have. */
  background?: number;
  /** Whether several owners share the room: then none may hold more than is still free. */
  shared?: boolean;
}

/** Where the model is not loaded yet: about how long that takes, in seconds. */
const LOAD_S = 5;

interface Waiter {
  images: number;
  admit: () => void;
}

/**
 * Decides who may enter the queue. Every image in the system is covered by a reservation from before its picture is
 * decoded until its last step, so that nothing is decoded that cannot be generated.
 *
 * Requests are admitted at once or refused. Jobs wait for room, and have a part of it at most: the rest is always left to
 * requests. Up to that part, a job that waits keeps room from later requests.
 */
export class Admission {
  readonly limit: number;
  /** Estimates when `images` images will have left the queue, in whole seconds. `direct`: those of jobs do not count. */
  retryAfterS: (images: number, direct: boolean) => number = () => LOAD_S;
  readonly #background: number;
  readonly #shared: boolean;
  /** Images covered by reservations: of requests by owner, and of jobs. */
  readonly #direct = new Map<string | undefined, number>();
  #directTotal = 0;
  #jobs = 0;
  /** Jobs, in order of arrival. */
  readonly #waiters = new Set<Waiter>();

  constructor({ limit, background = limit, shared = false }: QueueLimits) {
    this.limit = limit;
    this.#background = background;
    this.#shared = shared;
  }

  /** No reservation is held and nobody waits for one. */
  get idle(): boolean {
    return this.#directTotal + this.#jobs === 0 && this.#waiters.size === 0;
  }

  /**
   * Reserves room for a request now. Throws QueueFullError when there is none. `owner`: the name of its API key. The room is
   * released when the signal aborts, also while the model loads.
   */
  reserve(images: number, owner?: string, signal?: AbortSignal): Reservation {
    let claimed = this.#jobs;
    for (const waiter of this.#waiters) claimed += waiter.images;
    const jobs = Math.max(this.#jobs, Math.min(claimed, this.#background));
    const own = this.#direct.get(owner) ?? 0;
    const missing = deficit(
      { total: this.#directTotal + jobs, own, wanted: images },
      this.limit,
      this.#shared,
    );
    if (missing > 0) {
      const seconds = this.retryAfterS(missing, this.#waiters.size > 0);
      throw new QueueFullError('the queue has no room for this request', seconds);
    }
    const reservation = this.#grant(images, (change) => this.#countDirect(owner, change));
    signal?.addEventListener('abort', () => reservation.release(), { once: true });
    return reservation;
  }

  /** Reserves room for a job as soon as there is some, in order of arrival. Rejects with the signal's reason. */
  async whenRoom(images: number, signal: AbortSignal): Promise<Reservation> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiters.delete(waiter);
        this.#admitWaiters();
        reject(signal.reason);
      };
      const admit = () => {
        signal.removeEventListener('abort', leave);
        resolve(this.#grant(images, (change) => (this.#jobs += change), true));
      };
      const waiter = { images, admit };
      signal.addEventListener('abort', leave);
      this.#waiters.add(waiter);
      this.#admitWaiters();
    });
  }

  #countDirect(owner: string | undefined, change: number) {
    this.#directTotal += change;
    const own = (this.#direct.get(owner) ?? 0) + change;
    if (own > 0) this.#direct.set(owner, own);
    else this.#direct.delete(owner);
  }

  #grant(images: number, count: (change: number) => void, background = false): Reservation {
    count(images);
    let left = images;
    return {
      background,
      get images() {
        return left;
      },
      release: (wanted = left) => {
        const released = Math.min(wanted, left);
        left -= released;
        count(-released);
        if (released > 0) this.#admitWaiters();
      },
    };
  }

  #admitWaiters() {
    for (const waiter of this.#waiters) {
      const fits = this.#directTotal + this.#jobs + waiter.images <= this.limit;
      const share = this.#jobs === 0 || this.#jobs + waiter.images <= this.#background;
      if (!fits || !share) return; // first come, first served: nobody overtakes
      this.#waiters.delete(waiter);
      waiter.admit();
    }
  }
}

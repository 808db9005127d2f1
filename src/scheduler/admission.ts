/** The queue is full. */
export class QueueFullError extends Error {
  override name = 'QueueFullError';
  /** Whole seconds, at least 1, until there is likely to be room. */
  readonly retryAfterS: number;
  constructor(retryAfterS: number) {
    super('the queue is full');
    this.retryAfterS = retryAfterS;
  }
}

/** Room in the queue for a number of images. It must be released, whatever becomes of them. */
export interface Reservation {
  /** Images that room is still held for. */
  readonly images: number;
  /** Releases the room of `images` images; of all remaining ones by default. Releasing more than remain is harmless. */
  release(images?: number): void;
}

export interface AdmissionOptions {
  /** Images in the system: being decoded, waiting, and running. */
  limit: number;
  /** Estimates when a request that is refused now would fit, in whole seconds. */
  retryAfterS: () => number;
}

interface Waiter {
  images: number;
  admit: () => void;
}

/**
 * Decides who may enter the queue. Every image in the system is covered by a reservation from before its picture is
 * decoded until its last step, so that nothing is decoded that cannot be generated.
 */
export class Admission {
  readonly limit: number;
  readonly #retryAfterS: () => number;
  /** Images covered by reservations. */
  #reserved = 0;
  /** In order of arrival. */
  readonly #waiters = new Set<Waiter>();

  constructor({ limit, retryAfterS }: AdmissionOptions) {
    this.limit = limit;
    this.#retryAfterS = retryAfterS;
  }

  /** No reservation is held and nobody waits for one. */
  get idle(): boolean {
    return this.#reserved === 0 && this.#waiters.size === 0;
  }

  /** Reserves room now. Throws QueueFullError when there is none, counting those who wait for room first. */
  reserve(images: number): Reservation {
    let claimed = this.#reserved;
    for (const waiter of this.#waiters) claimed += waiter.images;
    if (claimed + images > this.limit) throw new QueueFullError(this.#retryAfterS());
    return this.#grant(images);
  }

  /** Reserves room as soon as there is some, in order of arrival. Rejects with the signal's reason. */
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
        resolve(this.#grant(images));
      };
      const waiter = { images, admit };
      signal.addEventListener('abort', leave);
      this.#waiters.add(waiter);
      this.#admitWaiters();
    });
  }

  #grant(images: number): Reservation {
    this.#reserved += images;
    let left = images;
    return {
      get images() {
        return left;
      },
      release: (count = left) => {
        const released = Math.min(count, left);
        left -= released;
        this.#reserved -= released;
        if (released > 0) this.#admitWaiters();
      },
    };
  }

  #admitWaiters() {
    for (const waiter of this.#waiters) {
      if (this.#reserved + waiter.images > this.limit) return; // first come, first served: nobody overtakes
      this.#waiters.delete(waiter);
      waiter.admit();
    }
  }
}

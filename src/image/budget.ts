import { usableMemory } from '../machine.ts';
import { retryAfter, TryLaterError } from '../retry-after.ts';
import { collectGarbage } from './garbage.ts';

/** Share of the memory limit for decoded pictures when MAX_DECODED_BYTES is not set. */
const DEFAULT_SHARE = 1 / 3;
/** Share of the budget for the working memory of image functions. Requests hold the rest. */
const WORK_SHARE = 1 / 4;
/** Dropped pictures, as a share of the budget, past which their memory is freed although nobody needs it yet. */
const GARBAGE_SHARE = 1 / 8;
/** Time after which a waiter is served before requests that do not wait, in milliseconds. */
const PATIENCE_MS = 10_000;

/** There is no memory for a request's pictures now; there will be when others have finished. */
export class MemoryFullError extends TryLaterError {
  override name = 'MemoryFullError';
}

/** Memory reserved for the pictures of a request. It must be released, whatever becomes of them. */
export interface Room {
  readonly bytes: number;
  /** Changes the size. Growing fails, and returns false, when there is no more memory; shrinking always succeeds. */
  resize(bytes: number): boolean;
  /** Keeps the memory reserved until a task has ended, even when it is released before. */
  keepFor(task: Promise<unknown>): void;
  /**
   * The pictures can be decoded again: `reclaim` is called when somebody needs the memory, and must release it. The
   * returned function stops it.
   */
  reclaimable(reclaim: () => void): () => void;
  /** Releases what is left. More than one call is harmless. */
  release(): void;
}

interface Waiter {
  bytes: number;
  since: number;
  admit: () => void;
}

/**
 * The memory for decoded pictures of the whole process: the pixels that requests hold, their results, and the working
 * memory of image functions (lanes.ts). It is reserved from a picture's header, before a pixel is decoded.
 *
 * What was released counts as used until it is really freed. That happens when a reservation would otherwise not fit, or
 * when it exceeds GARBAGE_SHARE of the budget.
 */
export class PictureBudget {
  #bytes: number;
  #held = 0;
  /** Bytes that were released, but not freed yet. */
  #garbage = 0;
  /** How long memory is held, in milliseconds: a moving average, for Retry-After. */
  #holdMs = 1000;
  /** In order of arrival. */
  readonly #waiters = new Set<Waiter>();
  /** Memory that is given back when it is needed, in the order in which it is. */
  readonly #reclaimable = new Set<{ room: Room; reclaim: () => void }>();
  readonly #free: () => void;

  constructor(bytes: number, free: () => void = collectGarbage) {
    this.#bytes = bytes;
    this.#free = free;
  }

  /** Sets MAX_DECODED_BYTES. What is held already stays. */
  configure(bytes = defaultBytes()): void {
    this.#bytes = bytes;
  }

  /** Bytes that requests may hold, all together. */
  get holdable(): number {
    return this.#bytes - this.workable;
  }

  /** Bytes of working memory that image functions may use at a time, all together. */
  get workable(): number {
    return Math.floor(this.#bytes * WORK_SHARE);
  }

  /** Bytes that requests hold. */
  get held(): number {
    return this.#held;
  }

  /** Reserves memory now. Throws MemoryFullError when there is none. */
  reserve(bytes: number): Room {
    const impatient = [...this.#waiters].filter(({ since }) => performance.now() - since > PATIENCE_MS);
    const claimed = impatient.reduce((sum, waiter) => sum + waiter.bytes, 0);
    if (!this.#fits(bytes + claimed)) {
      const seconds = this.#retryAfterS(bytes + claimed);
      throw new MemoryFullError('there is no memory for more pictures now', seconds);
    }
    return this.#grant(bytes);
  }

  /**
   * Reserves memory as soon as there is some, in order of arrival; requests that do not wait come first for a while.
   * Rejects with the signal's reason.
   */
  async whenRoom(bytes: number, signal: AbortSignal): Promise<Room> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiters.delete(waiter);
        this.#admitWaiters();
        reject(signal.reason);
      };
      const admit = () => {
        signal.removeEventListener('abort', leave);
        resolve(this.#grant(bytes));
      };
      const waiter = { bytes, since: performance.now(), admit };
      signal.addEventListener('abort', leave);
      this.#waiters.add(waiter);
      this.#admitWaiters();
    });
  }

  #grant(bytes: number): Room {
    const since = performance.now();
    let left = bytes;
    this.#held += bytes;
    const resize = (wanted: number): boolean => {
      if (wanted > left && !this.#fits(wanted - left)) return false;
      this.#held += wanted - left;
      const released = left - wanted;
      left = wanted;
      if (released > 0) this.#dropped(released);
      return true;
    };
    let tasks = 0;
    let released = false;
    const release = () => {
      released = true;
      if (left === 0 || tasks > 0) return;
      this.#holdMs += (performance.now() - since - this.#holdMs) / 8;
      resize(0);
    };
    const endTask = () => {
      tasks--;
      if (released) release();
    };
    const room: Room = {
      get bytes() {
        return left;
      },
      resize,
      keepFor: (task) => {
        tasks++;
        task.then(endTask, endTask);
      },
      reclaimable: (reclaim) => {
        const entry = { room, reclaim };
        this.#reclaimable.add(entry);
        return () => void this.#reclaimable.delete(entry);
      },
      release,
    };
    return room;
  }

  #fits(bytes: number): boolean {
    if (this.#held + this.#garbage + bytes <= this.holdable) return true;
    let reclaimable = 0;
    for (const { room } of this.#reclaimable) reclaimable += room.bytes;
    if (this.#held - reclaimable + bytes > this.holdable) return false;
    for (const { reclaim } of this.#reclaimable) {
      if (this.#held + bytes <= this.holdable) break;
      reclaim();
    }
    this.#freeGarbage();
    return this.#held + bytes <= this.holdable;
  }

  #freeGarbage() {
    this.#free();
    this.#garbage = 0;
  }

  #dropped(bytes: number) {
    this.#garbage += bytes;
    // Later, when the function that has released the memory has returned and no longer refers to it.
    setImmediate(() => {
      if (this.#garbage > this.#bytes * GARBAGE_SHARE) this.#freeGarbage();
      this.#admitWaiters();
    });
  }

  #admitWaiters() {
    for (const waiter of this.#waiters) {
      if (!this.#fits(waiter.bytes)) return; // first come, first served
      this.#waiters.delete(waiter);
      waiter.admit();
    }
  }

  /** When enough will be released, if memory is released at the present pace. */
  #retryAfterS(bytes: number): number {
    const missing = this.#held + bytes - this.holdable;
    return retryAfter(((missing / Math.max(1, this.#held)) * this.#holdMs) / 1000);
  }
}

function defaultBytes(): number {
  return Math.floor(usableMemory() * DEFAULT_SHARE);
}

/** The budget of this process. */
export const pictureBudget = new PictureBudget(defaultBytes());

import type { PreparedRequest } from '../generation/prepare.ts';
import type { ServedModel } from '../registry/served-model.ts';

const MIN_BYTES = 64 * 1024 * 1024;
/** RGBA with 8 and with 16 bits, a mask with weights, and a mask that was grown. */
const MAX_BYTES_PER_PIXEL = 15;
const MAX_AGE_MS = 10_000;

interface Entry {
  prepared: PreparedRequest;
  expiry: NodeJS.Timeout;
  /** The pictures are about to be used: their memory is not given up any more. */
  claim: () => void;
}

/**
 * The decoded pictures of jobs that were checked a moment ago, so that a job which starts at once does not decode them
 * again. Bounded in bytes and time, and given up when other requests need the memory: a job whose pictures are not kept, or
 * that runs on another replica, decodes its own.
 */
export class PreparedInputs {
  readonly #entries = new Map<string, Entry>();
  readonly #maxBytes: number;
  #bytes = 0;

  /** `maxPixels`: the largest picture that is accepted; there is always room for one. */
  constructor({ maxPixels }: { maxPixels: number }) {
    this.#maxBytes = Math.max(MIN_BYTES, maxPixels * MAX_BYTES_PER_PIXEL);
  }

  /** Keeps the pictures and their room, or releases it. */
  put(id: string, prepared: PreparedRequest): void {
    const { room, needs } = prepared;
    if (this.#bytes + needs.input > this.#maxBytes || this.#entries.has(id)) {
      room.release();
      return;
    }
    room.resize(needs.input);
    const expiry = setTimeout(() => this.drop(id), MAX_AGE_MS).unref();
    const claim = room.reclaimable(() => this.drop(id));
    this.#entries.set(id, { prepared, expiry, claim });
    this.#bytes += needs.input;
  }

  /**
   * The pictures, with room for their results. undefined if they are not kept, if there is no such room now, or if they
   * were prepared for another model than this one. A reload may have replaced it, also by one of the same version whose
   * files have changed: its resolution, its defaults and so the plan may differ.
   */
  take(id: string, model: ServedModel): PreparedRequest | undefined {
    const prepared = this.#remove(id);
    if (prepared?.model === model && prepared.room.resize(prepared.needs.total)) return prepared;
    prepared?.room.release();
    return undefined;
  }

  drop(id: string): void {
    this.#remove(id)?.room.release();
  }

  #remove(id: string): PreparedRequest | undefined {
    const entry = this.#entries.get(id);
    if (!entry) return undefined;
    clearTimeout(entry.expiry);
    entry.claim();
    this.#entries.delete(id);
    this.#bytes -= entry.prepared.needs.input;
    return entry.prepared;
  }
}

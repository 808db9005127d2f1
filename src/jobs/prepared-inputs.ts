import type { PreparedRequest } from '../generation/prepare.ts';
import type { HoledPicture } from '../generation/types.ts';

const MIN_BYTES = 64 * 1024 * 1024;
/** RGBA with 8 and with 16 bits, and a mask. */
const MAX_BYTES_PER_PIXEL = 13;
const MAX_AGE_MS = 10_000;

interface Entry {
  prepared: PreparedRequest;
  bytes: number;
  expiry: NodeJS.Timeout;
}

/**
 * The decoded pictures of jobs that were checked a moment ago, so that a job which starts at once does not decode them
 * again. Bounded in bytes and time: a job that waits longer, or runs on another replica, decodes its own.
 */
export class PreparedInputs {
  readonly #entries = new Map<string, Entry>();
  readonly #maxBytes: number;
  #bytes = 0;

  /** `maxPixels`: the largest picture that is accepted; there is always room for one. */
  constructor({ maxPixels }: { maxPixels: number }) {
    this.#maxBytes = Math.max(MIN_BYTES, maxPixels * MAX_BYTES_PER_PIXEL);
  }

  put(id: string, prepared: PreparedRequest): void {
    const bytes = 'input' in prepared ? sizeOf(prepared.input) : 0;
    if (this.#bytes + bytes > this.#maxBytes || this.#entries.has(id)) return;
    const expiry = setTimeout(() => this.take(id), MAX_AGE_MS).unref();
    this.#entries.set(id, { prepared, bytes, expiry });
    this.#bytes += bytes;
  }

  take(id: string): PreparedRequest | undefined {
    const entry = this.#entries.get(id);
    if (!entry) return undefined;
    clearTimeout(entry.expiry);
    this.#entries.delete(id);
    this.#bytes -= entry.bytes;
    return entry.prepared;
  }
}

function sizeOf({ picture, mask }: HoledPicture): number {
  return picture.data.length + (picture.data16?.byteLength ?? 0) + mask.data.length;
}

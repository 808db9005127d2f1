import type { PreparedRequest } from '../generation/prepare.ts';

const MAX_BYTES = 64 * 1024 * 1024;
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
  #bytes = 0;

  put(id: string, prepared: PreparedRequest): void {
    const bytes = 'input' in prepared ? sizeOf(prepared.input) : 0;
    if (this.#bytes + bytes > MAX_BYTES || this.#entries.has(id)) return;
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

function sizeOf({ picture, mask }: { picture: { data: Uint8Array }; mask: { data: Uint8Array } }): number {
  return picture.data.length + mask.data.length;
}

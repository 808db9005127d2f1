/** Chunks that are kept as they are. A body of the largest size that arrives as usual, 64 kB at a time, has about 500. */
const MAX_SINGLE = 1024;

/**
 * The chunks of a body that is arriving. A client can make them as small as a byte, and each takes more than a hundred
 * bytes of memory besides its content: many are joined early, so that memory is proportional to what is counted.
 */
export class Chunks {
  #joined: Buffer[] = [];
  #single: Buffer[] = [];

  add(chunk: Buffer): void {
    if (this.#single.push(chunk) < MAX_SINGLE) return;
    this.#joined.push(Buffer.concat(this.#single));
    this.#single = [];
  }

  /** All that has arrived so far. */
  concat(): Buffer {
    return Buffer.concat([...this.#joined, ...this.#single]);
  }

  clear(): void {
    this.#joined = [];
    this.#single = [];
  }
}

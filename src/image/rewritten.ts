/**
 * A file that is written anew from its first change on. It takes as many bytes as the file at most, however many pieces
 * are kept: lists of pieces take a hundred bytes for each, and a file of 32 MB can have millions.
 */
export class Rewritten {
  readonly #file: Buffer;
  /** Bytes by which the result may be longer than the file. */
  readonly #spare: number;
  #copy: Buffer | undefined;
  #length = 0;

  constructor(file: Buffer, spare = 0) {
    this.#file = file;
    this.#spare = spare;
  }

  /** Appends this part of the file. */
  keep(from: number, to: number): void {
    if (!this.#copy && from === this.#length) this.#length = to;
    else this.put(this.#file.subarray(from, to));
  }

  /** Appends a piece. Returns it as it lies in the result. */
  put(piece: Uint8Array): Buffer {
    if (!this.#copy) {
      this.#copy = Buffer.allocUnsafe(this.#file.length + this.#spare);
      this.#file.copy(this.#copy, 0, 0, this.#length);
    }
    const start = this.#length;
    this.#copy.set(piece, start);
    this.#length += piece.length;
    return this.#copy.subarray(start, this.#length);
  }

  /** The file itself if all of it was kept. */
  result(): Buffer {
    if (this.#copy) return this.#copy.subarray(0, this.#length);
    return this.#length === this.#file.length ? this.#file : this.#file.subarray(0, this.#length);
  }
}

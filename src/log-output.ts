import { writeSync } from 'node:fs';
import type { DestinationStream } from 'pino';

const WARN = 40;
const RETRY_MS = 10;
/**
 * A reader that takes nothing for this long loses a line, and further lines without a wait until it reads again: the service
 * must not stop for its log.
 */
const MAX_WAIT_MS = 1_000;
const clock = new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes lines to a file descriptor. A line that cannot be written, because the disk is full or nobody reads, is lost, and
 * the service goes on: pino's own destination would end it, or wait for ever in its last line. The first line that can be
 * written again is followed by one that counts the lost ones.
 */
export class LogOutput implements DestinationStream {
  readonly #fd: number;
  #lost = 0;
  /** The last line was given up in its middle. */
  #torn = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(line: string): void {
    if (!this.#writeAll(line)) {
      this.#lost++;
      return;
    }
    if (this.#lost === 0) return;
    const msg = `log lines that could not be written before this one: ${this.#lost}`;
    if (this.#writeAll(`${JSON.stringify({ level: WARN, time: Date.now(), msg })}\n`)) this.#lost = 0;
  }

  /** Whether the whole line could be written. */
  #writeAll(line: string): boolean {
    const bytes = Buffer.from(this.#torn ? `\n${line}` : line);
    let left = this.#lost > 0 ? 0 : MAX_WAIT_MS;
    for (let written = 0; written < bytes.length; ) {
      try {
        written += writeSync(this.#fd, bytes, written);
        this.#torn = written < bytes.length;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || left <= 0) return false;
        Atomics.wait(clock, 0, 0, RETRY_MS);
        left -= RETRY_MS;
      }
    }
    return true;
  }
}

/** Seconds per evaluated row, over all workers, as an exponential average over the last couple of hundred rows. */
export class Pace {
  secondsPerRow = 0.05;
  readonly #now: () => number;
  #last: number;

  constructor(now: () => number) {
    this.#now = now;
    this.#last = now();
  }

  /** Records that `rows` rows were evaluated since the last call. */
  count(rows: number) {
    const now = this.#now();
    const seconds = (now - this.#last) / 1000;
    this.#last = now;
    // An idle gap says nothing about speed.
    if (seconds < 2) this.secondsPerRow += (seconds / rows - this.secondsPerRow) * Math.min(1, 0.01 * rows);
  }
}

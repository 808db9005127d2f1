/** Share of the newest rows in the average: of each row, or of the time that they took where they are slow. */
const ROW_SHARE = 0.01;
const SECOND_SHARE = 0.05;

/** Seconds per evaluated row, over all workers, as an exponential average over the last couple of hundred rows, or seconds. */
export class Pace {
  secondsPerRow: number;
  readonly #now: () => number;
  #last: number;

  /** `secondsPerRow`: until rows have been counted. */
  constructor(now: () => number, secondsPerRow = 0.05) {
    this.#now = now;
    this.#last = now();
    this.secondsPerRow = secondsPerRow;
  }

  /** Evaluations begin after a pause, which says nothing about speed. */
  resume() {
    this.#last = this.#now();
  }

  /** Records that `rows` rows were evaluated since the last call, or since resume(). */
  count(rows: number) {
    const now = this.#now();
    const seconds = (now - this.#last) / 1000;
    this.#last = now;
    const share = Math.min(1, Math.max(ROW_SHARE * rows, SECOND_SHARE * seconds));
    this.secondsPerRow += (seconds / rows - this.secondsPerRow) * share;
  }
}

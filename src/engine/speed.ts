import type { NetworkName, RowSeconds } from './engine.ts';

/** Share of the newest evaluation in the average. */
const NEWEST_SHARE = 0.1;
/** The excess of the average over the start value halves in this time in which nothing is evaluated. */
const HALF_LIFE_MS = 10_000;

/**
 * The seconds that a row takes on each network: an exponential average of the evaluations, which starts at what was measured
 * while the workers loaded. An average that is above its start value falls back to it while nothing is evaluated. Long
 * requests are refused by this average, and a refused request measures nothing: without the fall, one slow period of the
 * machine would refuse them for ever.
 */
export class Speed {
  readonly #start: Readonly<RowSeconds>;
  readonly #now: () => number;
  /** idleMs: `#idleMs` when it was measured. */
  readonly #averages = new Map<NetworkName, { seconds: number; idleMs: number }>();
  #running = 0;
  /** Time in which nothing was evaluated, until #idleSince. */
  #idle = 0;
  #idleSince: number;

  /** `now`: a clock that only goes forward, in milliseconds. */
  constructor(start: RowSeconds, now: () => number = () => performance.now()) {
    this.#start = start;
    this.#now = now;
    this.#idleSince = now();
  }

  /** An evaluation begins. end() must follow, whatever becomes of it. */
  begin(): void {
    if (this.#running++ === 0) this.#idle += this.#now() - this.#idleSince;
  }

  end(): void {
    if (--this.#running === 0) this.#idleSince = this.#now();
  }

  /** Milliseconds until now in which nothing was evaluated. */
  get #idleMs(): number {
    return this.#running > 0 ? this.#idle : this.#idle + this.#now() - this.#idleSince;
  }

  /** An evaluation took this many seconds of the machine's time for each row. */
  add(network: NetworkName, secondsPerRow: number): void {
    const before = this.#of(network) ?? secondsPerRow;
    const seconds = before + NEWEST_SHARE * (secondsPerRow - before);
    this.#averages.set(network, { seconds, idleMs: this.#idleMs });
  }

  get rowSeconds(): RowSeconds {
    const networks = new Set([...(Object.keys(this.#start) as NetworkName[]), ...this.#averages.keys()]);
    return Object.fromEntries([...networks].map((network) => [network, this.#of(network)]));
  }

  #of(network: NetworkName): number | undefined {
    const start = this.#start[network];
    const average = this.#averages.get(network);
    if (!average || start === undefined) return average?.seconds ?? start;
    const excess = average.seconds - start;
    if (excess <= 0) return average.seconds;
    return start + excess * 2 ** (-(this.#idleMs - average.idleMs) / HALF_LIFE_MS);
  }
}

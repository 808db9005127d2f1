import type { NetworkName, RowSeconds } from './engine.ts';

/** Share of the newest evaluation in the average. */
const NEWEST_SHARE = 0.1;
/** While nothing is evaluated, the excess of the average over the start value halves in this time. */
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
  readonly #averages = new Map<NetworkName, { seconds: number; measuredMs: number }>();

  /** `now`: a clock that only goes forward, in milliseconds. */
  constructor(start: RowSeconds, now: () => number = () => performance.now()) {
    this.#start = start;
    this.#now = now;
  }

  /** An evaluation took this many seconds of the machine's time for each row. */
  add(network: NetworkName, secondsPerRow: number): void {
    const before = this.#of(network) ?? secondsPerRow;
    const seconds = before + NEWEST_SHARE * (secondsPerRow - before);
    this.#averages.set(network, { seconds, measuredMs: this.#now() });
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
    return start + excess * 2 ** (-(this.#now() - average.measuredMs) / HALF_LIFE_MS);
  }
}

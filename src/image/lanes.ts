/** What a task costs, known before it runs. */
export interface Cost {
  /** Its duration grows with a large picture or file. */
  slow: boolean;
  /** Bytes of working memory. */
  bytes: number;
}

interface Task extends Cost {
  start: () => void;
}

interface Options {
  /** Tasks that run at a time. */
  threads: number;
  /** Slow ones among them; fewer, so that the others always get through. */
  slowThreads: number;
  /** Bytes of working memory that tasks may use at a time. */
  workable: () => number;
}

/**
 * Decides which image function runs next: the oldest one that may. Slow ones are limited in number and in memory. A
 * task that needs more memory than there is runs when no other uses any: see needs.ts for the difference.
 */
export class Lanes {
  readonly #options: Options;
  readonly #waiting = new Set<Task>();
  #running = 0;
  #slow = 0;
  #bytes = 0;

  constructor(options: Options) {
    this.#options = options;
  }

  async run<T>({ slow, bytes }: Cost, work: () => Promise<T>): Promise<T> {
    const cost = { slow, bytes: Math.min(bytes, this.#options.workable()) };
    await new Promise<void>((resolve) => {
      this.#waiting.add({ ...cost, start: resolve });
      this.#startWaiting();
    });
    try {
      return await work();
    } finally {
      this.#count(cost, -1);
      this.#startWaiting();
    }
  }

  #startWaiting() {
    const { threads, slowThreads, workable } = this.#options;
    let slowWaits = false; // slow tasks do not overtake each other
    for (const task of this.#waiting) {
      if (this.#running >= threads) return;
      if (task.slow && (slowWaits || this.#slow >= slowThreads || this.#bytes + task.bytes > workable())) {
        slowWaits = true;
        continue;
      }
      this.#waiting.delete(task);
      this.#count(task, 1);
      task.start();
    }
  }

  #count({ slow, bytes }: Cost, sign: 1 | -1) {
    this.#running += sign;
    if (!slow) return;
    this.#slow += sign;
    this.#bytes += sign * bytes;
  }
}

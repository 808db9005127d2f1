/** Wakes those who wait for a change of a job. */
export class JobNotifier {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** Number of jobs that something waits for. */
  get size(): number {
    return this.#waiting.size;
  }

  notify(id: string) {
    for (const wake of [...(this.#waiting.get(id) ?? [])]) wake();
  }

  notifyAll() {
    for (const id of [...this.#waiting.keys()]) this.notify(id);
  }

  /** Resolves at the next notification, when the signal aborts, or after so many milliseconds. */
  wait(id: string, signal: AbortSignal, ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(id) ?? new Set();
      this.#waiting.set(id, waiting);
      const wake = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        waiting.delete(wake);
        if (waiting.size === 0) this.#waiting.delete(id);
        resolve();
      };
      const timer = ms === undefined ? undefined : setTimeout(wake, ms);
      waiting.add(wake);
      if (signal.aborted) wake();
      else signal.addEventListener('abort', wake);
    });
  }
}

import type { JobReservation } from './job.ts';

/** Counts the jobs of this process that are being checked, before they are submitted. */
export class JobReservations {
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(): JobReservation {
    let held = true;
    this.#count++;
    return {
      release: () => {
        if (held) this.#count--;
        held = false;
      },
    };
  }
}

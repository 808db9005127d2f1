import { JOB_STATUSES, type Job, type JobFilter } from './job.ts';

/** Jobs of one owner with one status, in order of creation. */
type List = { job: Job; number: number }[];

/** Finds an owner's newest jobs without looking at all of them. */
export class JobIndex {
  /** By owner and status. */
  readonly #lists = new Map<string, List>();
  readonly #numbers = new Map<string, number>();
  #next = 0;

  /** Adds a job under its present status. */
  add(job: Job): void {
    this.#numbers.set(job.id, this.#next++);
    this.#insert(job);
  }

  /** Call it instead of assigning the status. */
  setStatus(job: Job, status: Job['status']): void {
    this.#take(job);
    job.status = status;
    this.#insert(job);
  }

  remove(job: Job): void {
    this.#take(job);
    this.#numbers.delete(job.id);
  }

  /** Newest first. */
  list({ owner, status, limit }: JobFilter): Job[] {
    const lists = status ? [this.#lists.get(keyOf(owner, status)) ?? []] : this.#listsOf(owner);
    return lists
      .flatMap((list) => list.slice(-limit))
      .sort((a, b) => b.number - a.number)
      .slice(0, limit)
      .map(({ job }) => job);
  }

  #listsOf(owner: string | undefined): List[] {
    return JOB_STATUSES.map((status) => this.#lists.get(keyOf(owner, status)) ?? []);
  }

  #insert(job: Job) {
    const key = keyOf(job.owner, job.status);
    const list = this.#lists.get(key) ?? [];
    this.#lists.set(key, list);
    const number = this.#numbers.get(job.id) ?? 0;
    list.splice(positionOf(list, number), 0, { job, number });
  }

  #take(job: Job) {
    const key = keyOf(job.owner, job.status);
    const list = this.#lists.get(key) ?? [];
    list.splice(positionOf(list, this.#numbers.get(job.id) ?? 0), 1);
    if (list.length === 0) this.#lists.delete(key);
  }
}

const keyOf = (owner: string | undefined, status: string) => `${owner ?? ''}:${status}`;

/** Where a number is in the list, or belongs. */
function positionOf(list: List, number: number): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle].number < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

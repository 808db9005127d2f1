import type { NetworkSpec } from './network.ts';

/** Networks with more bytes of weights are large. */
const LARGE_BYTES = 64e6;

/**
 * Whether a network of the version is large. On a CPU, a large network has one worker with one session that uses every
 * core: its weights are in memory once. The parallelism within one of its evaluations is then worth about as much as that of
 * several evaluations side by side, which small networks gain from.
 */
export function isLarge({ networks: { base, refiner } }: Pick<NetworkSpec, 'networks'>): boolean {
  return Math.max(base.bytes ?? 0, refiner?.bytes ?? 0) > LARGE_BYTES;
}

/**
 * The priority (niceness) of a large network's worker. Its evaluations take seconds and would otherwise get as much of the
 * cores as those of small networks, which take milliseconds. With 5, Linux gives it a quarter of them while the worker
 * of another model wants as much as there is, and all of them while no other does.
 */
export const LARGE_NICENESS = 5;

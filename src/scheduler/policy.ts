export type Priority = 'low' | 'normal' | 'high';

const WEIGHTS: Record<Priority, number> = { low: 0.25, normal: 1, high: 4 };

/** What the policy looks at. */
export interface Claim {
  arrivedMs: number;
  /** Evaluations the whole request takes: its length. */
  evaluations: number;
  priority: Priority;
}

/**
 * Highest response ratio next (Hansen 1971), taken at every step: the request goes first whose stretch, the time
 * it has been here over its own length, is largest; times its priority's weight.
 *
 * What that gives: among requests of one length, first come first served. A short one behind long ones is not
 * kept waiting for their length but for its own times the common stretch. Nothing starves, since the stretch of
 * whoever waits grows without bound.
 */
export function stretch({ arrivedMs, evaluations, priority }: Claim, nowMs: number): number {
  return (WEIGHTS[priority] * (nowMs - arrivedMs)) / evaluations;
}

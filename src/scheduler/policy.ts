export const PRIORITIES = ['low', 'normal', 'high'] as const;
export type Priority = (typeof PRIORITIES)[number];

const WEIGHTS: Record<Priority, number> = { low: 0.25, normal: 1, high: 4 };

/** What the policy knows of a request. */
export interface Claim {
  arrivedMs: number;
  /** Evaluations of the whole request. */
  evaluations: number;
  priority: Priority;
}

/**
 * The strength of a request's claim to the next evaluation: the time since it arrived, in milliseconds, over the number
 * of its evaluations, times its priority's weight. The largest goes first (highest response ratio next, Hansen 1971);
 * the choice is made anew at every step.
 *
 * Among requests of one length this is first come, first served. A short request behind long ones waits in proportion
 * to its own length, not to theirs. Nothing starves: the claim of a waiting request grows without bound.
 */
export function stretch({ arrivedMs, evaluations, priority }: Claim, nowMs: number): number {
  return (WEIGHTS[priority] * (nowMs - arrivedMs)) / evaluations;
}

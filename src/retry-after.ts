const MAX_S = 600;

/** An estimate as the value of a Retry-After header: whole seconds, 1 to 600. */
export function retryAfter(seconds: number): number {
  return Math.max(1, Math.min(MAX_S, Math.ceil(seconds)));
}

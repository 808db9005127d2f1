const MAX_S = 600;

/** There is no room now; there will be when others have finished. */
export class TryLaterError extends Error {
  /** Whole seconds, 1 to 600, until there is likely to be room. */
  readonly retryAfterS: number;
  constructor(message: string, retryAfterS: number) {
    super(message);
    this.retryAfterS = retryAfterS;
  }
}

/** An estimate as the value of a Retry-After header: whole seconds, 1 to 600. */
export function retryAfter(seconds: number): number {
  return Math.max(1, Math.min(MAX_S, Math.ceil(seconds)));
}

import { createHmac } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

const TIMEOUT_MS = 10_000;
/** Number of attempts, and the delay after the first one; it doubles each time, to 17 minutes in all. */
export const WEBHOOK_TRIES = 11;
export const WEBHOOK_DELAY_MS = 1000;

export interface WebhookOptions {
  /** Origins (scheme, host and port) that may be called. Redirects are not followed. */
  origins: readonly string[];
  secret: string;
}

export function isAllowed(url: string, { origins }: Pick<WebhookOptions, 'origins'>): boolean {
  return URL.canParse(url) && origins.includes(new URL(url).origin);
}

/**
 * Posts a JSON body, signed according to Standard Webhooks (standardwebhooks.com): webhook-signature is
 * "v1," + base64(HMAC-SHA256(secret, "<webhook-id>.<webhook-timestamp>.<body>")).
 * Rejects unless the answer is 2xx; the caller may try again with the same id. The error does not contain the URL, which
 * may be a secret.
 */
export async function post(url: string, id: string, data: object, { secret, ...options }: WebhookOptions) {
  if (!isAllowed(url, options)) throw new Error('its origin is not on the list of allowed origins');
  const body = JSON.stringify(data);
  const timestamp = String(Math.floor(Date.now() / 1000));
  const response = await fetch(url, {
    method: 'POST',
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS),
    headers: {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${sign(`${id}.${timestamp}.${body}`, secret)}`,
    },
    body,
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`answered ${response.status}`);
}

/** `secret`: `whsec_` and base64, as in Standard Webhooks, or any other string, whose bytes are the key. */
function sign(content: string, secret: string): string {
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret);
  return createHmac('sha256', key).update(content).digest('base64');
}

/** Calls `deliver` until it succeeds, at most WEBHOOK_TRIES times. Stops without an error, also when the signal aborts. */
export async function retried(
  deliver: (isLastTry: boolean) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  for (let wait = WEBHOOK_DELAY_MS, tries = 1; ; wait *= 2, tries++) {
    try {
      return await deliver(tries === WEBHOOK_TRIES);
    } catch {
      if (tries === WEBHOOK_TRIES || signal.aborted) return;
      await sleep(wait, undefined, { ref: false });
    }
  }
}

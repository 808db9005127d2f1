import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

/** So many requests in so many milliseconds. */
export interface RateLimit {
  max: number;
  windowMs: number;
}

/** A client that may use the service. The key itself is nowhere but with the client. */
export interface ApiKey {
  /** Whose it is: in the log, the owner of jobs. Two keys may have one name while one takes the other's place. */
  name: string;
  sha256: Buffer;
  /** Its own limit, in place of RATE_LIMIT. */
  limit?: RateLimit;
}

const UNIT_MS = { second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000 };
const RATE = /^([1-9]\d{0,8})\/(second|minute|hour|day)$/;
const ENTRY = /^([\w.-]{1,64}):([0-9a-f]{64})(?::(.+))?$/i;

/** `60/minute` */
export function parseRate(text: string): RateLimit | undefined {
  const [, max, unit] = RATE.exec(text) ?? [];
  return max ? { max: Number(max), windowMs: UNIT_MS[unit as keyof typeof UNIT_MS] } : undefined;
}

const FORM =
  'must be entries like alice:<sha256 of the key, 64 hex digits> or alice:<sha256>:60/minute, separated by commas ' +
  '(npm run key -- alice makes a key and its entry)';

/** API_KEYS. What is wrong is said by the entry's place: it may be a key that was put there in place of its hash. */
export const apiKeys = z.string().transform((text, context): ApiKey[] => {
  const refuse = (why: string) => {
    context.issues.push({ code: 'custom', input: undefined, message: `${FORM}: ${why}` });
    return z.NEVER;
  };
  const entries = text.split(',').map((entry) => entry.trim());
  const keys: ApiKey[] = [];
  for (const [i, entry] of entries.entries()) {
    const [, name, hash, rate] = ENTRY.exec(entry) ?? [];
    const limit = rate === undefined ? undefined : parseRate(rate);
    if (!name || (rate !== undefined && !limit)) return refuse(`entry ${i + 1} of ${entries.length} is not`);
    const sha256 = Buffer.from(hash, 'hex');
    if (keys.some((key) => key.sha256.equals(sha256))) return refuse(`entry ${i + 1} is there twice`);
    keys.push({ name, sha256, limit });
  }
  return keys;
});

/**
 * A new key: 256 random bits. That is why plain sha256 is right at rest, where passwords would need a slow, salted hash:
 * there is no dictionary of such keys to try, and a request costs microseconds to check.
 */
export const newKey = () => `ddpm_${randomBytes(32).toString('base64url')}`;

export const hashKey = (key: string) => createHash('sha256').update(key).digest();

/** Whose key it is. Takes the same time wherever it is in the list, and however much of a hash is alike. */
export function findKey(keys: readonly ApiKey[], presented: string): ApiKey | undefined {
  const sha256 = hashKey(presented);
  let found: ApiKey | undefined;
  for (const key of keys) if (timingSafeEqual(key.sha256, sha256)) found = key;
  return found;
}

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

/** At most `max` requests in any `windowMs` milliseconds. */
export interface RateLimit {
  max: number;
  windowMs: number;
}

/** A client that may use the service. Only the hash of its key is stored. */
export interface ApiKey {
  /** Identifies the client in the log and as the owner of jobs. Two keys may share a name while one replaces the other. */
  name: string;
  /** 32 bytes. */
  sha256: Buffer;
  /** Replaces RATE_LIMIT for this key. */
  limit?: RateLimit;
}

/** Whether requests come from several clients that are told apart, so that limits can be shared among them. */
export const hasSeveralOwners = (keys: ApiKey[] = []): boolean =>
  new Set(keys.map(({ name }) => name)).size > 1;

const UNIT_MS = { second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000 };
const RATE = /^([1-9]\d{0,8})\/(second|minute|hour|day)$/;
const ENTRY = /^([\w.-]{1,64}):([0-9a-f]{64})(?::(.+))?$/i;

/** Parses a rate such as `60/minute`; undefined when the text is not a rate. */
export function parseRate(text: string): RateLimit | undefined {
  const [, max, unit] = RATE.exec(text) ?? [];
  return max ? { max: Number(max), windowMs: UNIT_MS[unit as keyof typeof UNIT_MS] } : undefined;
}

/** The unit of time of a rate: `minute`. */
export const unitOf = (rate: RateLimit | undefined) =>
  Object.entries(UNIT_MS).find(([, ms]) => ms === rate?.windowMs)?.[0];

const EXPECTED =
  'must be entries like alice:<sha256 of the key, 64 hex digits> or alice:<sha256>:60/minute, separated by commas ' +
  '(npm run key -- alice creates a key and its entry)';

/**
 * Parses API_KEYS. An error message gives the position of the invalid entry, never its text: it may be a key that was
 * entered in place of its hash.
 */
export const apiKeys = z.string().transform((text, context): ApiKey[] => {
  const refuse = (why: string) => {
    context.issues.push({ code: 'custom', input: undefined, message: `${EXPECTED}: ${why}` });
    return z.NEVER;
  };
  const entries = text.split(',').map((entry) => entry.trim());
  const keys: ApiKey[] = [];
  for (const [i, entry] of entries.entries()) {
    const [, name, hash, rate] = ENTRY.exec(entry) ?? [];
    const limit = rate === undefined ? undefined : parseRate(rate);
    if (!name || (rate !== undefined && !limit))
      return refuse(`entry ${i + 1} of ${entries.length} is invalid`);
    const sha256 = Buffer.from(hash, 'hex');
    if (keys.some((key) => key.sha256.equals(sha256)))
      return refuse(`entry ${i + 1} repeats the hash of an earlier entry`);
    keys.push({ name, sha256, limit });
  }
  return keys;
});

/**
 * Creates a key from 256 random bits. Because keys are random, unsalted SHA-256 is a safe way to store them: there is no
 * dictionary of likely keys to try, so the slow, salted hash that passwords need would only make each request slower.
 */
export const newKey = () => `ddpm_${randomBytes(32).toString('base64url')}`;

/** SHA-256 of a key, 32 bytes. */
export const hashKey = (key: string) => createHash('sha256').update(key).digest();

/**
 * Finds the client that a presented key belongs to. Compares with every entry in constant time, so the response time
 * reveals neither the position of the match nor how much of a hash agrees.
 */
export function findKey(keys: readonly ApiKey[], presented: string): ApiKey | undefined {
  const sha256 = hashKey(presented);
  let found: ApiKey | undefined;
  for (const key of keys) if (timingSafeEqual(key.sha256, sha256)) found = key;
  return found;
}

import { inspect } from 'node:util';
import { type DestinationStream, type Logger, pino } from 'pino';

const MASK = '***';
/** What newKey() makes, wherever a client may have put it. */
const API_KEY = /ddpm_[\w-]{43}/g;
/** Anything shorter would also be found where it is no secret. */
const SHORTEST_SECRET = 6;

/** A text without the secrets in it: as they are, as JSON writes them, and percent-encoded. */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const written = secrets
    .filter((secret) => secret.length >= SHORTEST_SECRET)
    .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)])
    .sort((a, b) => b.length - a.length); // the whole before its parts
  return (text) =>
    written.reduce((left, secret) => left.replaceAll(secret, MASK), text).replace(API_KEY, MASK);
}

/**
 * The service's log: one JSON object a line (for people in a terminal), without secrets. An error is its type, message
 * and stack alone: what libraries hang on to theirs can be anything, with ioredis the arguments of the command that
 * failed: passwords, pictures.
 */
export function createLog(
  level: string,
  redact: (text: string) => string,
  destination?: DestinationStream,
): Logger {
  const options = {
    level,
    serializers: { err: describeError },
    hooks: { streamWrite: redact },
    transport:
      process.stdout.isTTY && !destination
        ? { target: 'pino-pretty', options: { ignore: 'pid,hostname' } }
        : undefined,
  };
  return destination ? pino(options, destination) : pino(options);
}

/** What the log says of something that was thrown. */
export function describeError(thrown: unknown): object {
  if (!(thrown instanceof Error)) return { type: typeof thrown, message: inspect(thrown, { depth: 0 }) };
  const { name, message, stack, cause } = thrown;
  const { code } = thrown as { code?: unknown };
  return {
    type: name,
    message,
    code: typeof code === 'string' ? code : undefined,
    stack,
    cause: cause === undefined ? undefined : describeError(cause),
  };
}

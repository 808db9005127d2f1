import { inspect } from 'node:util';
import { type DestinationStream, type Logger, pino } from 'pino';
import { LogOutput } from './log-output.ts';

const MASK = '***';
/** An API key, as newKey() creates it, wherever in a request a client has put it. */
const API_KEY = /ddpm_[\w-]{43}/g;
/** Characters. Shorter secrets are not masked: they would also match unrelated text. */
const MIN_SECRET_LENGTH = 6;
/** Headers contain keys and cookies of any form; @fastify/multipart logs them at level trace. */
const NEVER_LOGGED = ['headers', '*.headers'];

/** Creates a function that masks secrets in a text: in plain form, JSON-escaped and percent-encoded. */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const written = secrets
    .filter((secret) => secret.length >= MIN_SECRET_LENGTH)
    .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)])
    .sort((a, b) => b.length - a.length); // longest first: a secret before the parts of it
  return (text) =>
    written.reduce((left, secret) => left.replaceAll(secret, MASK), text).replace(API_KEY, MASK);
}

/**
 * Creates the service's log: one JSON object per line, or formatted text in a terminal, with secrets masked and without
 * headers. Of errors, only type, message, code, stack and cause are logged. Other properties may contain private data:
 * ioredis attaches the arguments of the failed command, which can be passwords or pictures.
 *
 * @param level a pino level
 * @param redact applied to every line
 * @param destination default: standard output
 */
export function createLog(
  level: string,
  redact: (text: string) => string,
  destination?: DestinationStream,
): Logger {
  const options = {
    level,
    serializers: { err: describeError },
    redact: { paths: NEVER_LOGGED, remove: true },
    hooks: { streamWrite: redact },
  };
  if (process.stdout.isTTY && !destination) {
    const transport = { target: 'pino-pretty', options: { ignore: 'pid,hostname' } };
    return pino({ ...options, transport });
  }
  return pino(options, destination ?? new LogOutput(process.stdout.fd));
}

/** The loggable properties of a thrown value. */
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

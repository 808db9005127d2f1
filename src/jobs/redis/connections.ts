import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { JobStoreError } from '../job.ts';

/** Milliseconds in which Redis must answer a command of a request; after that the client gets a 503. */
export const ANSWER_MS = 2000;
/** Milliseconds in which Redis must answer at start. */
const START_MS = 10_000;
/** Reconnections, about two seconds, after which the commands of requests fail. */
const RECONNECTIONS = 8;
/**
 * Milliseconds without an answer after which a connection is closed and opened anew, so that what waits in it is
 * freed and a network that lost the connection is noticed. Workers block in a read for up to 10 s.
 */
const REQUEST_SILENCE_MS = 5000;
const WORKER_SILENCE_MS = 15_000;
/** Interval at which a shutdown checks that Redis still answers. */
const PING_MS = 500;
/** A connection that does not close within this time is destroyed. */
const DISCONNECT_MS = 500;
/** Oldest version of Redis that has been tested, and that BullMQ recommends. */
const OLDEST = '6.2';

/** After a failover, a node that has become a replica still answers but refuses writes: then the connection is opened anew. */
export const reconnectOnError = ({ message }: Error) => message.includes('READONLY');

export interface Connections {
  /** For commands of requests: each fails with an error after ANSWER_MS. */
  request: Redis;
  /**
   * For pictures of requests: large ones take longer than ANSWER_MS, and what is sent after them waits for them. Its
   * commands fail when the connection is lost, or silent for REQUEST_SILENCE_MS.
   */
  pictures: Redis;
  /** For running jobs: waits until Redis is back. */
  worker: Redis;
  subscriber: Redis;
}

/**
 * Connects to Redis. Rejects with JobStoreError when it cannot be reached, refuses a command, or is too old.
 *
 * @param onError called with errors of the connections that no request waits for
 */
export async function connect(url: string, onError: (error: Error) => void): Promise<Connections> {
  const disconnectTimeout = DISCONNECT_MS;
  const request = new Redis(url, {
    commandTimeout: ANSWER_MS,
    connectTimeout: ANSWER_MS,
    socketTimeout: REQUEST_SILENCE_MS,
    maxRetriesPerRequest: RECONNECTIONS,
    disconnectTimeout,
    reconnectOnError,
    lazyConnect: true,
  });
  let why = new Error('no answer');
  request.on('error', (error) => {
    why = error;
  });
  try {
    const late = sleep(START_MS, undefined, { ref: false }).then(() => Promise.reject(why));
    await Promise.race([request.connect().then(() => assertUsable(request)), late]);
  } catch (error) {
    request.disconnect();
    if (error instanceof JobStoreError) throw error;
    const { name, message } = error as Error;
    throw new JobStoreError(
      name === 'ReplyError'
        ? `Redis at REDIS_URL refuses a command that jobs need: ${message}`
        : `Redis cannot be reached at REDIS_URL: ${why.message}`,
    );
  }
  const worker = new Redis(url, {
    socketTimeout: WORKER_SILENCE_MS,
    maxRetriesPerRequest: null,
    disconnectTimeout,
    reconnectOnError,
  });
  const subscriber = worker.duplicate();
  const pictures = request.duplicate({
    commandTimeout: undefined,
    maxRetriesPerRequest: 0,
    lazyConnect: false,
  });
  for (const connection of [pictures, worker, subscriber]) connection.on('error', onError);
  return { request, pictures, worker, subscriber };
}

async function assertUsable(redis: Redis) {
  const { db = 0 } = redis.options;
  // ioredis goes on with database 0 when it cannot select another one.
  await redis.select(db).catch(({ message }) => {
    throw new JobStoreError(`Redis at REDIS_URL has no database ${db}: ${message}`);
  });
  const version = /redis_version:(\S+)/.exec(await redis.info('server'))?.[1] ?? '';
  if (version.localeCompare(OLDEST, 'en', { numeric: true }) >= 0) return;
  throw new JobStoreError(`Redis ${version} at REDIS_URL is too old; version ${OLDEST} or newer is needed`);
}

/** Resolves when Redis has not answered for ANSWER_MS, or when the signal aborts. */
export async function untilSilent({ request }: Connections, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await request.ping();
    } catch {
      return;
    }
    await sleep(PING_MS, undefined, { ref: false });
  }
}

export function disconnect(connections: Connections): void {
  for (const connection of Object.values(connections)) connection.disconnect();
}

/** Names and messages of the errors that ioredis throws while Redis cannot answer. */
const UNAVAILABLE_NAMES = ['MaxRetriesPerRequestError', 'AbortError'];
const UNAVAILABLE_MESSAGES = ['Connection is closed.', 'Command timed out'];

/**
 * Turns a failure of Redis into JobStoreError: it is not the client's fault. The client is told the code of what Redis
 * refuses, such as OOM when it is full; `onError` gets the whole error.
 */
export async function translated<T>(command: () => Promise<T>, onError: (error: Error) => void): Promise<T> {
  try {
    return await command();
  } catch (error) {
    const cause = error as Error;
    const refused = cause.name === 'ReplyError';
    if (!refused && !UNAVAILABLE_NAMES.includes(cause.name) && !UNAVAILABLE_MESSAGES.includes(cause.message))
      throw error;
    onError(cause);
    const why = refused ? `refuses a command: ${cause.message.split(' ')[0]}` : 'cannot be reached';
    throw new JobStoreError(`the job store ${why}`, { cause });
  }
}

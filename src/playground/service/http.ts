/** A problem document (RFC 9457), as far as the page uses it. */
export interface Problem {
  type?: string;
  title?: string;
  detail?: string;
  errors?: { pointer: string; detail: string }[];
}

/** The service answered with an error, or not at all. */
export class ServiceError extends Error {
  override name = 'ServiceError';
  /** HTTP status; 0 if there was no answer. */
  readonly status: number;
  readonly problem: Problem;
  /** Seconds after which to try again, if the service said so. */
  readonly retryAfterS: number | undefined;
  readonly requestId: string | undefined;

  constructor(status: number, problem: Problem = {}, headers?: Headers) {
    super(
      problem.detail ?? problem.title ?? (status ? `HTTP status ${status}` : 'The service does not answer.'),
    );
    this.status = status;
    this.problem = problem;
    const after = headers?.get('retry-after');
    this.retryAfterS = after ? Number(after) || undefined : undefined;
    this.requestId = headers?.get('x-request-id') ?? undefined;
  }

  /** The name of the problem, such as `queue-full`. */
  get slug(): string {
    return this.problem.type?.split('/').at(-1) ?? '';
  }
}

export interface Asking extends RequestInit {
  key?: string;
  headers?: Record<string, string>;
}

/**
 * Fetches a path of the service. Resolves with a 2xx response; otherwise throws ServiceError, or the signal's reason when
 * it is aborted.
 */
export async function ask(path: string, { key, headers, ...init }: Asking = {}): Promise<Response> {
  const authorization = key ? { authorization: `Bearer ${key}` } : undefined;
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers: { ...headers, ...authorization } });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ServiceError(0);
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new ServiceError(response.status, problem as Problem, response.headers);
}

/** Asks, and reads the body. A connection that breaks meanwhile is a service that does not answer. */
export async function askFor<T>(
  path: string,
  asking: Asking,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  const response = await ask(path, asking);
  try {
    return await read(response);
  } catch (error) {
    if (asking.signal?.aborted) throw error;
    throw new ServiceError(0);
  }
}

/** Milliseconds for which an answer is waited for whose request was given up. */
const LATE_MS = 60_000;

/**
 * Asks for what the service creates. When the signal aborts, it rejects at once but lets the request go on, and gives
 * `late` what is created nevertheless: only the answer says what is to be taken back.
 */
export function outliving<T>(
  create: (signal: AbortSignal) => Promise<T>,
  late: (created: T) => void,
  signal: AbortSignal,
): Promise<T> {
  signal.throwIfAborted();
  const end = new AbortController();
  const created = create(end.signal);
  return new Promise((resolve, reject) => {
    const stop = () => {
      reject(signal.reason);
      const timer = setTimeout(() => end.abort(), LATE_MS);
      created.then(late, () => {}).finally(() => clearTimeout(timer));
    };
    signal.addEventListener('abort', stop, { once: true });
    created.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

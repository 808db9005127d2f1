import { EventSourceParserStream } from 'eventsource-parser/stream';
import type {
  FileOptions,
  FillEvent,
  Filled,
  FillOptions,
  Job,
  JobOptions,
  Parameters,
  Picture,
  Problem,
} from './types.ts';

export type * from './types.ts';

/** The service refused a request, or a job failed. `problem` says why, and names the fields. */
export class ServiceError extends Error {
  override name = 'ServiceError';
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(problem.detail || problem.title);
    this.problem = problem;
  }
}

/** A refusal after which the request may be sent again. */
class BusyError extends ServiceError {
  /** Milliseconds after which to try again. */
  readonly waitMs: number;
  constructor(problem: Problem, retryAfter: string | null) {
    super(problem);
    const seconds = Number(retryAfter ?? 1); // NaN for a date
    this.waitMs = 1000 * (Number.isFinite(seconds) ? seconds : 1);
  }
}

type Init = Omit<RequestInit, 'headers'> & { headers?: Record<string, string> };
type Read<T> = (answer: Response) => T | Promise<T>;
const asText: Read<string> = (answer) => answer.text();
const asFile = async (answer: Response) => ({
  bytes: new Uint8Array(await answer.arrayBuffer()),
  headers: answer.headers,
});

/** The bytes of a picture. A proxy in between may answer with a page of its own and status 200, as for a login. */
function pictureOf({ bytes, headers }: { bytes: Uint8Array<ArrayBuffer>; headers: Headers }) {
  const type = headers.get('content-type') ?? 'without a content type';
  if (!type.startsWith('image/')) throw new TypeError(`the answer is ${type}, not a picture of the service`);
  return bytes;
}

export interface ClientOptions {
  /** Sent as Authorization: Bearer. */
  apiKey?: string;
  /** How often a request is sent again after 429 or 503, and one that can be repeated after a lost connection, 502 or 504. */
  retries?: number;
  /** Milliseconds between questions whether a job has ended. */
  pollMs?: number;
}

/** Statuses of a service that is busy or starting. Its Retry-After says when to try again. */
const BUSY = [429, 503];
/** Statuses of a proxy that has lost its connection to the service: the request may have arrived. */
const LOST = [502, 504];
/** Milliseconds after which a request is repeated whose connection was lost. */
const LOST_MS = 1000;
/** Milliseconds for which the answer is waited for that names a job whose signal has aborted. */
const LATE_MS = 60_000;
/** Milliseconds that a job's cancellation may take, with its retries. */
const CANCEL_MS = 5000;
/** The longest delay of setTimeout, in milliseconds. A longer one would end at once. */
const LONGEST_MS = 2 ** 31 - 1;
const FILES = 'node:fs/promises';
const FORMATS: Record<string, Parameters['format']> = { png: 'png', jpg: 'jpeg', jpeg: 'jpeg', webp: 'webp' };

export class InpaintClient {
  readonly #base: string;
  readonly #options: Required<Omit<ClientOptions, 'apiKey'>> & ClientOptions;

  constructor(baseUrl = 'http://localhost:8000', { apiKey, retries = 5, pollMs = 500 }: ClientOptions = {}) {
    this.#base = baseUrl.replace(/\/$/, '');
    this.#options = { apiKey, retries, pollMs };
  }

  /** Fills the hole of a picture. With num_images above 1, use job() or stream(). */
  async fill(image: Picture, options: FillOptions = {}): Promise<Filled> {
    const { signal, ...parameters } = options;
    const headers = { accept: 'image/*' };
    const init = { method: 'POST', body: form(image, parameters), headers, signal };
    const file = await this.#send('/v1/inpaint', init, asFile);
    const picture = pictureOf(file);
    const model = file.headers.get('x-model');
    const seed = file.headers.get('x-seed');
    if (!model || !seed)
      throw new TypeError('the answer lacks x-model or x-seed: a proxy may have removed it');
    return { picture, model, seed: Number(seed) };
  }

  /** Fills the hole of a picture file, and writes the result in the format that the name of the target ends with. */
  async fillFile(source: string, target: string, { mask, ...options }: FileOptions = {}): Promise<Filled> {
    // Not in browsers, whose bundlers must not look for it.
    const { readFile, writeFile }: typeof import('node:fs/promises') = await import(
      /* webpackIgnore: true */ /* @vite-ignore */ FILES
    );
    const read = async (path: string) => new Uint8Array(await readFile(path));
    const ending = target.split('.').pop()?.toLowerCase() ?? '';
    const format = FORMATS[ending];
    if (format === undefined)
      throw new TypeError(`${target} must end with ${Object.keys(FORMATS).join(', ')}`);
    const sent = { ...options, format, mask: mask === undefined ? undefined : await read(mask) };
    const filled = await this.fill(await read(source), sent);
    await writeFile(target, filled.picture);
    return filled;
  }

  /** Fills the hole of a picture, and tells the progress. The last event is the result. */
  async *stream(image: Picture, options: FillOptions = {}): AsyncGenerator<FillEvent> {
    const { signal, ...parameters } = options;
    const headers = { accept: 'text/event-stream' };
    const init = { method: 'POST', body: form(image, parameters), headers, signal };
    const body = await this.#send('/v1/inpaint', init, (answer) => answer.body);
    const text = body as unknown as ReadableStream<BufferSource>;
    const events = text.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
    const reader = events.getReader(); // not every Safari has `for await` over a stream
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) throw new TypeError('the stream ended before its result');
        const parsed: unknown = JSON.parse(value.data);
        if (value.event === 'error') throw new ServiceError(parsed as Problem);
        yield { event: value.event, data: parsed } as FillEvent;
        if (value.event === 'result') return;
      }
    } finally {
      await reader.cancel().catch(() => {}); // also when the caller leaves its loop
    }
  }

  /**
   * Fills the hole of a picture as a job, which waits for its turn and outlives connections: one picture for each
   * candidate. With the task `sample` there is no picture, and new ones are drawn. Sending it again creates no second job.
   * When the signal aborts, the job is cancelled, and the promise rejects when the service has confirmed that, after 5 s at
   * the latest. Before the job has been accepted, it rejects at once, and the job is cancelled as soon as it is accepted.
   * The job is also cancelled when onProgress throws, unless it has ended: its pictures stay.
   */
  async job(image: Picture | undefined, options: JobOptions = {}): Promise<Filled[]> {
    const { signal, onProgress, ...parameters } = options;
    const headers = { 'idempotency-key': randomKey() };
    const init = { method: 'POST', body: form(image, parameters), headers, signal };
    const job = await this.#job('/v1/jobs', init, (late) => void this.#cancel(late));
    let isAbandoned = false;
    const tell = (state: Job) => {
      isAbandoned = isUnfinished(state);
      onProgress?.(state);
      isAbandoned = false;
    };
    try {
      return await this.#finished(job, tell, signal);
    } catch (error) {
      if (signal?.aborted || isAbandoned) await this.#cancel(job);
      throw error;
    }
  }

  #cancel({ id }: Job) {
    const init = { method: 'DELETE', signal: AbortSignal.timeout(CANCEL_MS) };
    return this.#send(`/v1/jobs/${id}`, init, asText).catch(() => {});
  }

  /** Waits for a job, and gets its pictures. */
  async #finished(accepted: Job, tell: (job: Job) => void, signal?: AbortSignal): Promise<Filled[]> {
    let job = accepted;
    for (;;) {
      tell(job);
      if (job.status === 'succeeded') break;
      if (job.status === 'failed' && job.error) throw new ServiceError(job.error);
      if (!isUnfinished(job)) throw new TypeError(`the job was ${job.status}`);
      await pause(this.#options.pollMs, signal);
      job = await this.#job(`/v1/jobs/${job.id}`, { signal });
    }
    const { model, seed } = job.parameters as { model: string; seed: number };
    // Not the links of the job: they begin with the path of the service, which the base URL has already.
    const files = job.images.map(async (_, n) => {
      const file = await this.#send(`/v1/jobs/${job.id}/images/${n}`, { signal }, asFile);
      return { picture: pictureOf(file), model, seed };
    });
    return Promise.all(files);
  }

  /** A job that is created or asked for. What is no JSON is not asked for again. */
  async #job(path: string, init: Init, late?: (job: Job) => void): Promise<Job> {
    const parsed = (text: string) => JSON.parse(text) as Job;
    return parsed(await this.#send(path, init, asText, late && ((text) => late(parsed(text)))));
  }

  /**
   * Sends a request and reads its answer, again when the service is busy or, if it can be repeated, when a connection is
   * lost. Rejects with ServiceError for any other refusal. `late` gets an answer that comes after the signal has aborted.
   */
  async #send<T>(path: string, init: Init, read: Read<T>, late?: (value: T) => void): Promise<T> {
    const { apiKey, retries } = this.#options;
    const headers = { ...init.headers, ...(apiKey && { authorization: `Bearer ${apiKey}` }) };
    const isRepeatable = init.method !== 'POST' || 'idempotency-key' in headers;
    const again = isRepeatable ? [...BUSY, ...LOST] : BUSY;
    for (let left = retries; ; left--) {
      // Node 24's fetch also rejects a promise that nobody holds when a form meets a signal that has aborted before.
      init.signal?.throwIfAborted();
      try {
        const send = (signal = init.signal) =>
          ask(this.#base + path, { ...init, headers, signal }, read, again);
        return await (late && init.signal ? outliving(send, late, init.signal) : send());
      } catch (error) {
        init.signal?.throwIfAborted();
        const isBusy = error instanceof BusyError;
        const isLost = isRepeatable && !(error instanceof ServiceError);
        if (!(left > 0 && (isBusy || isLost))) throw error;
        await pause(isBusy ? error.waitMs : LOST_MS, init.signal);
      }
    }
  }
}

const isUnfinished = ({ status }: Job) => status === 'queued' || status === 'running';

/** Sends a request once, and reads its answer. Rejects with BusyError for the statuses `again`. */
async function ask<T>(url: string, init: Init, read: Read<T>, again: number[]): Promise<T> {
  const answer = await fetch(url, init);
  if (answer.ok) return read(answer);
  const problem = await problemOf(answer);
  if (again.includes(answer.status)) throw new BusyError(problem, answer.headers.get('retry-after'));
  throw new ServiceError(problem);
}

/**
 * Sends what creates something. When the signal aborts, it rejects at once but lets the request go on, and gives `late`
 * what is created nevertheless: only the answer says what is to be taken back.
 */
function outliving<T>(
  send: (signal: AbortSignal) => Promise<T>,
  late: (created: T) => void,
  signal: AbortSignal,
): Promise<T> {
  const end = new AbortController();
  const created = send(end.signal);
  return new Promise((resolve, reject) => {
    const stop = () => {
      reject(signal.reason);
      const timer = setTimeout(() => end.abort(), LATE_MS);
      const done = () => clearTimeout(timer);
      created.then(late).then(done, done); // rejects where there is none, or its answer cannot be read
    };
    signal.addEventListener('abort', stop, { once: true });
    created.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

function form(image: Picture | undefined, { mask, ...parameters }: Omit<FillOptions, 'signal'>): FormData {
  const body = new FormData();
  for (const [name, picture] of Object.entries({ image, mask }))
    if (picture) body.append(name, blob(picture), name);
  for (const [name, value] of Object.entries(parameters))
    if (value !== undefined && value !== null) body.append(name, String(value));
  return body;
}

/** A key that nobody guesses. `crypto.randomUUID` exists on pages with TLS only. */
const randomKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  );

const blob = (picture: Picture) => (picture instanceof Blob ? picture : new Blob([picture]));

/** What a refusal says; a proxy in between may answer with something else. */
async function problemOf(answer: Response): Promise<Problem> {
  const { status, statusText: title } = answer;
  const text = await answer.text();
  try {
    const problem = JSON.parse(text) as Problem;
    if (typeof problem.detail === 'string') return problem;
  } catch {}
  return { type: 'about:blank', title: title || `status ${status}`, status, detail: '', instance: '' };
}

/** Waits, at most LONGEST_MS. Rejects when the signal aborts. */
function pause(ms: number, signal?: AbortSignal | null): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const resume = () => {
      signal?.removeEventListener('abort', stop);
      resolve();
    };
    const timer = setTimeout(resume, Math.min(ms, LONGEST_MS));
    signal?.addEventListener('abort', stop, { once: true });
  });
}

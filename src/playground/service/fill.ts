import type { Answer, Frame, Phase } from '../state/types.ts';
import { readEvents, type ServiceEvent } from './events.ts';
import { ask, askFor, outliving, ServiceError } from './http.ts';

export interface FillRequest {
  /** Parameters of the API, as text. */
  fields: Record<string, string>;
  image: Blob;
  mask: Blob;
  key: string;
}

/** A job that the service has accepted, with what is needed to send it again: the seed and the version of the model. */
export interface AcceptedJob {
  id: string;
  fields: Record<string, string>;
}

export interface Reports {
  phase(phase: Phase): void;
  frame(frame: Frame): void;
  /** A step of the first candidate has been taken, at this timestep. */
  visited(timestep: number): void;
  accepted(job: AcceptedJob): void;
}

interface JobView {
  id: string;
  estimate_seconds?: number;
  parameters: Record<string, unknown>;
  images: string[];
}

/** Gives up when the service could not be reached, or had no room, for so long. */
const PATIENCE_MS = 15 * 60_000;
/** Connections that may break while one job is followed. */
const MAX_BROKEN = 200;
/** Times that a request is sent: sentences.ts names the number. A service that has lost so many jobs would lose the next one too. */
const MAX_SENDS = 3;
const PREVIEWS = { preview_every: '1', preview_noisy: 'true' };
const RETRY_S = { busy: 10, loading: 3, unreachable: 2 };

/**
 * Fills a hole through a job, so that results arrive as files and a broken connection loses nothing. Where the service is
 * busy, is loading the model or cannot be reached, it waits and tries again; where a restart has lost the job, it sends the
 * request again, with the seed and the version of the model that the lost job had, up to MAX_SENDS times.
 *
 * Aborting the signal cancels the job. `job`: one that was accepted before, perhaps before the page was reloaded.
 */
export async function fill(
  request: FillRequest,
  reports: Reports,
  signal: AbortSignal,
  job?: AcceptedJob,
): Promise<{ answer: Answer; files: Blob[] }> {
  const { key } = request;
  let current = job;
  let estimate: number | undefined;
  const cancel = ({ id }: { id: string }) => {
    ask(`v1/jobs/${id}`, { method: 'DELETE', key, keepalive: true }).catch(() => {});
  };
  const stop = () => current && cancel(current);
  if (signal.aborted) stop();
  signal.throwIfAborted();
  signal.addEventListener('abort', stop, { once: true });
  try {
    for (let sends = 0; ; ) {
      if (!current) {
        current = await submit(request);
        sends++;
      }
      reports.accepted(current);
      try {
        return await follow(current.id);
      } catch (error) {
        const isLost = error instanceof ServiceError && error.slug === 'unknown-job';
        if (!isLost || sends === MAX_SENDS) throw error;
      }
      request = { ...request, fields: current.fields };
      current = undefined;
      await wait('unreachable', RETRY_S.unreachable);
    }
  } finally {
    signal.removeEventListener('abort', stop);
  }

  async function submit({ fields, image, mask }: FillRequest): Promise<AcceptedJob> {
    reports.phase({ name: 'sending' });
    const body = new FormData();
    for (const [name, value] of Object.entries({ ...fields, ...PREVIEWS })) body.set(name, value);
    body.set('image', image, 'picture');
    body.set('mask', mask, 'mask.png');
    const headers = { 'idempotency-key': randomId() }; // sent twice, it is still one job
    const send = async (until: AbortSignal) => {
      const init = { method: 'POST', body, headers, key, signal: until };
      return JSON.parse(await askFor('v1/jobs', init, asText)) as JobView;
    };
    const { id, parameters, estimate_seconds } = await patiently(() => outliving(send, cancel, signal));
    estimate = estimate_seconds;
    reports.phase({ name: 'queued', position: 0, seconds: estimate });
    const { seed, model } = parameters;
    return { id, fields: { ...fields, seed: String(seed), model: String(model) } };
  }

  /** The result of a job. */
  async function follow(id: string) {
    let after: string | undefined;
    let answer: Answer | undefined;
    for (let broken = 0; !answer; broken++) {
      if (broken > MAX_BROKEN) throw new ServiceError(0);
      if (broken > 0) await wait('unreachable', RETRY_S.unreachable);
      const headers: Record<string, string> = after ? { 'last-event-id': after } : {};
      const open = () => ask(`v1/jobs/${id}/events`, { headers, key, signal });
      try {
        for await (const event of readEvents(await patiently(open), signal)) {
          after = event.id ?? after;
          answer = handle(event);
        }
      } catch (error) {
        if (!(error instanceof ServiceError) || error.status !== 0) throw error;
      }
    }
    const { images } = JSON.parse(await receive(`v1/jobs/${id}`, asText)) as JobView;
    const files: Blob[] = [];
    for (const n of images.keys())
      files.push(await receive(`v1/jobs/${id}/images/${n}`, (response) => response.blob()));
    return { answer, files };
  }

  function receive<T>(path: string, read: (response: Response) => Promise<T>): Promise<T> {
    return patiently(() => {
      reports.phase({ name: 'receiving' });
      return askFor(path, { key, signal }, read);
    });
  }

  function handle({ event, data }: ServiceEvent): Answer | undefined {
    if (event === 'queued')
      reports.phase({ name: 'queued', position: Number(data.position), seconds: estimate });
    if (event === 'error') throw new ServiceError(Number(data.status), data);
    if (event === 'cancelled') throw new ServiceError(410, { type: 'cancelled' });
    if (event === 'result') return data as unknown as Answer;
    if (event !== 'progress') return undefined;
    const { step, of, eta_ms, timestep } = data as { [name: string]: number };
    if (step >= of) reports.phase({ name: 'receiving' });
    else reports.phase({ name: 'running', step, of, endsAt: Date.now() + eta_ms });
    reports.visited(timestep);
    if (data.preview) reports.frame(data as unknown as Frame);
    return undefined;
  }

  /** Calls the service until it is not busy, not loading and can be reached. */
  async function patiently<T>(call: () => Promise<T>): Promise<T> {
    const started = Date.now();
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof ServiceError) || Date.now() - started > PATIENCE_MS) throw error;
        const reason = reasonToWait(error);
        if (!reason) throw error;
        await wait(reason, error.retryAfterS ?? RETRY_S[reason]);
      }
    }
  }

  async function wait(reason: 'busy' | 'loading' | 'unreachable', seconds: number): Promise<void> {
    signal.throwIfAborted();
    reports.phase({ name: 'waiting', reason, until: Date.now() + 1000 * seconds });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(done, 1000 * seconds);
      const stop = () => {
        clearTimeout(timer);
        reject(signal.reason);
      };
      signal.addEventListener('abort', stop, { once: true });
      function done() {
        signal.removeEventListener('abort', stop);
        resolve();
      }
    });
  }
}

/** Parsed by the caller: what is no JSON will not be JSON the next time. */
const asText = (response: Response) => response.text();

function reasonToWait({ status, slug }: ServiceError): 'busy' | 'loading' | 'unreachable' | undefined {
  if (status === 429 || slug === 'too-many-connections') return 'busy';
  if (slug === 'not-ready') return 'loading';
  return [0, 502, 503, 504].includes(status) ? 'unreachable' : undefined;
}

/** crypto.randomUUID exists on secure origins only, and a service in the own network is often reached without TLS. */
export function randomId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
}

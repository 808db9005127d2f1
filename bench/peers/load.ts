import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from './random.ts';

const TIMEOUT_MS = 180_000;

/** One request to a server; `check` throws for an answer that is not a filled picture. */
export interface Ask {
  url: string;
  headers: Record<string, string>;
  body: Buffer;
  check: (body: Buffer) => void;
}

/** What a load gave. */
export interface Result {
  /** Of the requests that were answered, in milliseconds, ascending. */
  latenciesMs: number[];
  /** Requests that were refused or failed, by status or error. */
  failures: Record<string, number>;
  /** From the first request to the last answer. */
  seconds: number;
}

const agent = new http.Agent({ keepAlive: true });

async function send({ url, headers, body, check }: Ask): Promise<void> {
  const options = { method: 'POST', headers: { ...headers, 'content-length': body.length }, agent };
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const answer = await new Promise<Buffer>((resolve, reject) => {
    const request = http.request(url, { ...options, signal }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const all = Buffer.concat(chunks);
        if (response.statusCode === 200) resolve(all);
        else reject(new Error(`${response.statusCode}`));
      });
    });
    request.on('error', reject);
    request.end(body);
  });
  check(answer);
}

class Recording {
  readonly #started = performance.now();
  #last = this.#started;
  readonly #result: Result = { latenciesMs: [], failures: {}, seconds: 0 };

  /** Sends a request; its latency counts from `from`. */
  async send(ask: Ask, from = performance.now()): Promise<void> {
    try {
      await send(ask);
      this.#last = performance.now();
      this.#result.latenciesMs.push(this.#last - from);
    } catch (error) {
      const { message, name } = error as Error;
      const what = name === 'AbortError' ? 'no answer' : message.slice(0, 60);
      this.#result.failures[what] = (this.#result.failures[what] ?? 0) + 1;
    }
  }

  get result(): Result {
    const latenciesMs = this.#result.latenciesMs.toSorted((a, b) => a - b);
    return { ...this.#result, latenciesMs, seconds: (this.#last - this.#started) / 1000 };
  }
}

/** Closed loop: each client sends its next request when the last one is answered, for `seconds`. */
export async function closedLoop(ask: Ask, clients: number, seconds: number): Promise<Result> {
  const recording = new Recording();
  const end = performance.now() + 1000 * seconds;
  const client = async () => {
    do await recording.send(ask);
    while (performance.now() < end);
  };
  await Promise.all(Array.from({ length: clients }, client));
  return recording.result;
}

/** Open loop: requests arrive at random (a Poisson process of `rate` a second) for `seconds`, whatever the server does. */
export async function openLoop(ask: Ask, rate: number, seconds: number, random: Random): Promise<Result> {
  const recording = new Recording();
  const sent: Promise<void>[] = [];
  const start = performance.now();
  for (let at = 0; ; ) {
    at += (-1000 * Math.log(1 - random())) / rate;
    if (at > 1000 * seconds) break;
    await sleep(Math.max(0, start + at - performance.now()));
    sent.push(recording.send(ask, start + at));
  }
  await Promise.all(sent);
  return recording.result;
}

/** One client sends short requests, while others keep long ones running. The result is that of the short ones. */
export async function shortAmongLong(
  short: Ask,
  long: Ask,
  longClients: number,
  seconds: number,
): Promise<Result> {
  const end = performance.now() + 1000 * seconds;
  const others = new Recording();
  let over = false;
  const client = async () => {
    while (!over) await others.send(long);
  };
  const clients = Array.from({ length: longClients }, client);
  await sleep(500); // the long ones have begun
  const recording = new Recording();
  do await recording.send(short);
  while (performance.now() < end);
  over = true;
  const { result } = recording;
  void Promise.all(clients); // the server is stopped while they run
  return result;
}

/** The latency that a share of the answers do not exceed; NaN without answers. */
export function percentile({ latenciesMs }: Result, share: number): number {
  return latenciesMs[Math.ceil(share * latenciesMs.length) - 1] ?? Number.NaN;
}

import type { ServerResponse } from 'node:http';
import { collectGarbage } from '../image/garbage.ts';
import { Problem, RETRY_AFTER_S } from './problem.ts';

/** Bodies that are no longer needed, as a share of MAX_UPLOADS_BYTES, after which their memory is freed. */
const GARBAGE_SHARE = 1 / 4;

interface Options {
  /** MAX_UPLOAD_BYTES: bytes of one body. */
  perBody: number;
  /** MAX_UPLOADS_BYTES: bytes of all bodies that are in memory. */
  total: number;
  /** UPLOAD_IDLE_MS: time without a byte after which a body is given up. */
  idleMs: number;
}

/** A request body that is arriving. */
export interface Upload {
  /** Counts bytes that have arrived. Throws the Problem that the request is refused with. */
  take(bytes: number): void;
  /** The body has arrived, or nobody waits for it any more. */
  end(): void;
  /** Rejects with a Problem when no byte has arrived for too long. */
  stalled: Promise<never>;
}

export const bodyTooLarge = (limit: number) =>
  new Problem('upload-too-large', `the request body is larger than ${limit} bytes`);

/** Counts the bytes of all request bodies in memory: from their arrival until the request has been answered. */
export class Uploads {
  readonly #options: Options;
  #bytes = 0;
  /** Bytes of bodies that are no longer needed, since garbage was collected. */
  #dropped = 0;

  constructor(options: Options) {
    this.#options = options;
  }

  open(response: ServerResponse): Upload {
    const { perBody, total, idleMs } = this.#options;
    let held = 0;
    let timer: NodeJS.Timeout | undefined;
    const stalled = new Promise<never>((_, reject) => {
      const stall = () =>
        reject(new Problem('request-timeout', `no byte of the body arrived for ${idleMs / 1000} s`));
      timer = setTimeout(stall, idleMs).unref();
    });
    stalled.catch(() => {}); // nobody may be waiting
    const end = () => clearTimeout(timer);
    const release = () => {
      end();
      this.#bytes -= held;
      this.#dropped += held;
      held = 0;
      if (this.#dropped < total * GARBAGE_SHARE) return;
      this.#dropped = 0;
      setImmediate(collectGarbage);
    };
    if (response.destroyed) end();
    else response.once('close', release);
    const take = (bytes: number) => {
      timer?.refresh();
      if (held + bytes > perBody) throw bodyTooLarge(perBody);
      if (response.destroyed) return; // nobody would release what is counted now
      if (this.#bytes + bytes > total) {
        const detail = `too many uploads are in memory; try again in ${RETRY_AFTER_S} s`;
        throw new Problem('memory-full', detail, { retryAfterS: RETRY_AFTER_S });
      }
      held += bytes;
      this.#bytes += bytes;
    };
    return { take, end, stalled };
  }
}

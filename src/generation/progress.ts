import { base64 } from '../image/base64.ts';
import type { Box } from '../image/picture.ts';
import { tensorToPicture } from '../image/region.ts';
import { encodePicture } from '../image/threads.ts';
import type { Preview, Progress } from './options.ts';
import type { SampleRequest } from './request.ts';

/** A progress event, as plain data under the names of the API. */
export interface ProgressEvent {
  /** Evaluations done and to do, over all candidates. */
  step: number;
  of: number;
  /** Estimated milliseconds until the last evaluation is done, from the pace since the first. */
  eta_ms: number;
  /** Of the first candidate's last step: its timestep, T - 1 to 0, and abar there, the share of the signal's variance in x_t. */
  timestep: number;
  abar: number;
  /** The picture as it is estimated now, as a data: URL. */
  preview?: string;
  /** x_t of that timestep, which the preview was estimated from, as a data: URL of the same part of the picture. */
  noisy?: string;
  /** Where in the picture the preview lies. */
  box?: Box;
}

/** Which previews a request wants. */
type Previews = Pick<SampleRequest, 'preview_every' | 'preview_noisy'>;

/** Previews that may be encoded at a time; past it, events go without one: encoding must not fall ever further behind. */
const MAX_PENDING_PREVIEWS = 8;
/** Previews with more pixels are large: one is made at a time, and they take at most this share of the time. */
const SMALL_PIXELS = 256 ** 2;
const LARGE_SHARE = 1 / 5;

/**
 * Turns a request's progress into events, in the order of the steps. A preview is encoded in a thread; what follows it
 * waits for it.
 */
export class ProgressReporter {
  readonly #wanted: Previews;
  readonly #send: (event: ProgressEvent) => void;
  readonly #now: () => number;
  #last: Promise<void> = Promise.resolve();
  #pending = 0;
  /** Whether the last preview was large, and until when no other one is made. */
  #large = false;
  #pauseEndMs = 0;

  /** `now`: a clock that only goes forward, in milliseconds. */
  constructor(wanted: Previews, send: (event: ProgressEvent) => void, now = () => performance.now()) {
    this.#wanted = wanted;
    this.#send = send;
    this.#now = now;
  }

  readonly report = ({ step, total, elapsedMs, timestep, abar, estimate, noisy }: Progress): void => {
    const event = {
      step,
      of: total,
      eta_ms: Math.round((elapsedMs / step) * (total - step)),
      timestep,
      abar,
    };
    const { preview_every: every, preview_noisy: withNoisy } = this.#wanted;
    const wanted = every > 0 && step % every === 0;
    if (wanted && this.#hasTime()) this.#sendWithPreview(event, estimate, withNoisy ? noisy : undefined);
    else if (this.#pending === 0) this.#send(event);
    else this.#last = this.#last.then(() => this.#send(event));
  };

  /** Resolves when every event reported so far has been sent. */
  async flush(): Promise<void> {
    await this.#last;
  }

  #hasTime(): boolean {
    return this.#pending < (this.#large ? 1 : MAX_PENDING_PREVIEWS) && this.#now() >= this.#pauseEndMs;
  }

  #sendWithPreview(event: ProgressEvent, estimate: Progress['estimate'], noisy?: Progress['noisy']) {
    this.#pending++;
    const encoding = Promise.all([this.#timed(estimate), noisy?.().then((seen) => seen && encode(seen))]);
    encoding.catch(() => {}); // handled below, perhaps only after earlier events
    const before = this.#last;
    this.#last = before.then(async () => {
      try {
        const [{ url, box }, seen] = await encoding;
        this.#send({ ...event, preview: url, noisy: seen?.url, box });
      } catch {
        this.#send(event); // without a preview, rather than not at all
      } finally {
        this.#pending--;
      }
    });
  }

  /** Makes and encodes a preview. After a large one there is a pause, which depends on the time that it took. */
  async #timed(estimate: Progress['estimate']) {
    const started = this.#now();
    const preview = await estimate();
    this.#large = preview.width * preview.height > SMALL_PIXELS;
    const encoded = await encode(preview);
    const took = this.#now() - started;
    if (this.#large) this.#pauseEndMs = started + took / LARGE_SHARE;
    return encoded;
  }
}

async function encode({ x0, box, width, height }: Preview): Promise<{ url: string; box?: Box }> {
  const picture = tensorToPicture(x0, { width, height });
  const file = await encodePicture(picture, { format: 'webp', quality: 80 });
  return { url: `data:image/webp;base64,${base64(file)}`, box };
}

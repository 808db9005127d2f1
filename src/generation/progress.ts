import { base64 } from '../image/base64.ts';
import type { Box } from '../image/picture.ts';
import { tensorToPicture } from '../image/region.ts';
import { encodePicture } from '../image/threads.ts';
import type { Preview } from './preview.ts';
import type { Progress } from './types.ts';

/** A progress event, as plain data under the names of the API. */
export interface ProgressEvent {
  /** Evaluations done and to do, over all candidates. */
  step: number;
  of: number;
  /** Estimated milliseconds until the last evaluation is done, from the pace since the first. */
  eta_ms: number;
  /** The picture as it is estimated now, as a data: URL. */
  preview?: string;
  /** Where in the picture the preview lies. */
  box?: Box;
}

/** Previews that may be encoded at a time; past it, events go without one: encoding must not fall ever further behind. */
const MAX_PENDING_PREVIEWS = 8;

/**
 * Turns a request's progress into events, in the order of the steps. A preview is encoded in a thread; what follows it
 * waits for it.
 */
export class ProgressReporter {
  readonly #previewEvery: number;
  readonly #send: (event: ProgressEvent) => void;
  #last: Promise<void> = Promise.resolve();
  #pending = 0;

  /** `previewEvery`: steps between previews; 0: none. */
  constructor(previewEvery: number, send: (event: ProgressEvent) => void) {
    this.#previewEvery = previewEvery;
    this.#send = send;
  }

  readonly report = ({ step, total, elapsedMs, estimate }: Progress): void => {
    const event = { step, of: total, eta_ms: Math.round((elapsedMs / step) * (total - step)) };
    const wanted = this.#previewEvery > 0 && step % this.#previewEvery === 0;
    if (wanted && this.#pending < MAX_PENDING_PREVIEWS) this.#sendWithPreview(event, estimate());
    else if (this.#pending === 0) this.#send(event);
    else this.#last = this.#last.then(() => this.#send(event));
  };

  /** Resolves when every event reported so far has been sent. */
  async flush(): Promise<void> {
    await this.#last;
  }

  #sendWithPreview(event: ProgressEvent, estimate: Promise<Preview>) {
    this.#pending++;
    const encoding = encode(estimate);
    encoding.catch(() => {}); // handled below, perhaps only after earlier events
    const before = this.#last;
    this.#last = before.then(async () => {
      try {
        const { file, box } = await encoding;
        this.#send({ ...event, preview: `data:image/webp;base64,${base64(file)}`, box });
      } catch {
        this.#send(event); // without a preview, rather than not at all
      } finally {
        this.#pending--;
      }
    });
  }
}

async function encode(estimate: Promise<Preview>): Promise<{ file: Uint8Array; box: Box | undefined }> {
  const { x0, box, ...size } = await estimate;
  const file = await encodePicture(tensorToPicture(x0, size), { format: 'webp', quality: 80 });
  return { file, box };
}

import type { OutputFormat, Size } from '../image/picture.ts';
import { encodePicture } from '../image/threads.ts';
import type { Progress } from './options.ts';

interface Options {
  /** Pictures wanted, 0 or more. */
  count: number;
  encoding: { format: OutputFormat; quality?: number; size?: Size };
  /** Called in the order of the pictures. */
  send: (file: Uint8Array) => Promise<void>;
}

/**
 * Turns a request's progress into whole pictures on the way to the first candidate, encoded as the result will be: at most
 * `count`, at equal distances. There is none while the one before is being encoded or sent.
 */
export class PartialImages {
  readonly #options: Options;
  /** Those that were due so far. */
  #due = 0;
  #encoding: Promise<void> | undefined;

  constructor(options: Options) {
    this.#options = options;
  }

  readonly report = ({ step, total, whole }: Progress): void => {
    const { count } = this.#options;
    const due = Math.min(count, Math.floor((step * (count + 1)) / total));
    if (due <= this.#due || step === total) return;
    this.#due = due;
    if (this.#encoding) return;
    this.#encoding = this.#send(whole()).finally(() => {
      this.#encoding = undefined;
    });
  };

  /** Resolves when the last picture has been sent. */
  async flush(): Promise<void> {
    await this.#encoding;
  }

  async #send(picture: ReturnType<Progress['whole']>): Promise<void> {
    const { encoding, send } = this.#options;
    try {
      await send(await encodePicture(await picture, encoding));
    } catch {
      // The result matters more than a picture on the way to it.
    }
  }
}

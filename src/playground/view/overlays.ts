import type { Box, Frame, Run, State } from '../state/types.ts';
import type { Studio } from '../worker/client.ts';

/** A drawn part of a mask, and where in the picture it lies. */
interface MaskDrawing {
  version: number;
  box: Box;
  width: number;
  height: number;
  bitmap: ImageBitmap;
}

interface Heat {
  run: string;
  bitmap?: ImageBitmap;
}

/** The pictures that are laid over the picture: mask, preview and uncertainty. The worker draws them on demand. */
export class Overlays {
  readonly #studio: Studio;
  readonly #onReady: () => void;
  #mask: MaskDrawing | undefined;
  #asked = '';
  #drawing = false;
  #preview: { fill: string; frame: Frame; bitmap: ImageBitmap } | undefined;
  #decoding = false;
  #heat: Heat | undefined;

  constructor(studio: Studio, onReady: () => void) {
    this.#studio = studio;
    this.#onReady = onReady;
  }

  /** The latest drawing of a mask; a new one is asked for if this is not the wanted one. */
  mask(wanted: Omit<MaskDrawing, 'bitmap'>): MaskDrawing | undefined {
    const { version, box, width, height } = wanted;
    const asked = JSON.stringify(wanted);
    if (asked !== this.#asked && !this.#drawing) {
      this.#asked = asked;
      this.#drawing = true;
      this.#studio
        .drawMask(version, box, { width, height })
        .then((bitmap) => {
          this.#mask?.bitmap.close();
          this.#mask = { ...wanted, bitmap };
        })
        .catch(() => {}) // the mask is gone: undo has left it behind
        .finally(() => {
          this.#drawing = false;
          this.#onReady(); // asks again if something else is wanted by now
        });
    }
    return this.#mask;
  }

  /** The newest preview of the fill in progress. While one is decoded, newer ones wait, and only the newest is next. */
  preview({ fill }: State): { frame: Frame; bitmap: ImageBitmap } | undefined {
    if (!fill) {
      this.#preview?.bitmap.close();
      this.#preview = undefined;
      return undefined;
    }
    const frame = fill.frames.at(-1);
    if (frame && frame !== this.#preview?.frame && !this.#decoding) {
      this.#decoding = true;
      this.#studio
        .decodeUrl(frame.preview)
        .then((bitmap) => {
          this.#preview?.bitmap.close();
          this.#preview = { fill: fill.id, frame, bitmap };
        })
        .catch(() => {})
        .finally(() => {
          this.#decoding = false;
          this.#onReady();
        });
    }
    return this.#preview?.fill === fill.id ? this.#preview : undefined;
  }

  heat({ id, answer }: Run): ImageBitmap | undefined {
    if (this.#heat?.run !== id && answer.uncertainty) {
      this.#heat?.bitmap?.close();
      const mine: Heat = { run: id };
      this.#heat = mine;
      this.#studio.heatmap(answer.uncertainty).then(
        (bitmap) => {
          mine.bitmap = bitmap;
          this.#onReady();
        },
        () => {},
      );
    }
    return this.#heat?.run === id ? this.#heat.bitmap : undefined;
  }
}

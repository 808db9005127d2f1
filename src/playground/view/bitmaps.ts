import type { Candidate, Picture } from '../state/types.ts';
import type { Studio } from '../worker/client.ts';

/** Pictures of up to 25 megapixels, decoded, that are kept at a time. */
const KEPT = 3;

/** Decoded pictures, from large to small halvings. They are made on demand; `onReady` is called when one is there. */
export class Bitmaps {
  readonly #studio: Studio;
  readonly #onReady: () => void;
  /** In the order of their last use. */
  readonly #levels = new Map<string, ImageBitmap[] | 'decoding'>();

  constructor(studio: Studio, onReady: () => void) {
    this.#studio = studio;
    this.#onReady = onReady;
  }

  put(id: string, levels: ImageBitmap[]): void {
    this.#levels.delete(id);
    this.#levels.set(id, levels);
    this.#evict();
  }

  of({ id, file }: Pick<Picture, 'id' | 'file'>): ImageBitmap[] | undefined {
    const levels = this.#levels.get(id);
    if (levels === 'decoding') return undefined;
    if (levels) {
      this.#levels.delete(id);
      this.#levels.set(id, levels);
      return levels;
    }
    this.#levels.set(id, 'decoding');
    this.#studio.decodeLevels(file).then(
      (decoded) => {
        this.put(id, decoded);
        this.#onReady();
      },
      () => this.#levels.delete(id),
    );
    return undefined;
  }

  #evict(): void {
    for (const [id, levels] of this.#levels) {
      if (this.#levels.size <= KEPT) return;
      if (levels === 'decoding') continue;
      for (const level of levels) level.close();
      this.#levels.delete(id);
    }
  }
}

/** The identity of a candidate's picture among the decoded ones. */
export const candidatePicture = (run: string, index: number, { file }: Candidate) => ({
  id: `${run}/${index}`,
  file,
});

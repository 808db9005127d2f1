import { isDeepStrictEqual } from 'node:util';
import type { ModelCard } from '../model/card.ts';
import { findFolders, fingerprint, ModelFolderError, readModelCard, verifyDigests } from '../model/folder.ts';

/** What is another than at the last look. */
export interface Changes {
  /** New folders, and those whose model.json says something else. */
  found: { folder: string; card: ModelCard }[];
  /** Cannot be served as they are; each is said once, and tried again when a file of it has changed. */
  refused: { folder: string; why: string }[];
  /** Are there no longer. */
  gone: string[];
}

interface Entry {
  fingerprint: string;
  /** The last that could be served. */
  card?: ModelCard;
  /** Why what lies there now cannot be. */
  why?: string;
}

/** The fingerprint of a folder that may not be read. */
const DENIED = 'denied';

/** Follows what lies in MODEL_DIR. */
export class Catalogue {
  readonly #root: string;
  readonly #entries = new Map<string, Entry>();

  constructor(root: string) {
    this.#root = root;
  }

  /**
   * Looks again. With `verify`, a folder is found only when its files are those that its model.json describes.
   * Throws ModelFolderError when MODEL_DIR cannot be read: nothing is known then, and nothing gone.
   */
  async look({ verify }: { verify: boolean }): Promise<Changes> {
    const changes: Changes = { found: [], refused: [], gone: [] };
    const folders = await findFolders(this.#root).catch((error: Error) => {
      throw new ModelFolderError(`MODEL_DIR ${this.#root} cannot be read: ${error.message}`);
    });
    for (const folder of folders) await this.#lookAt(folder, verify, changes);
    for (const [folder, { card }] of this.#entries) {
      if (folders.includes(folder)) continue;
      this.#entries.delete(folder);
      if (card) changes.gone.push(folder);
    }
    return changes;
  }

  async #lookAt(folder: string, verify: boolean, { found, refused }: Changes) {
    const before = this.#entries.get(folder);
    const now = await fingerprint(folder).catch(
      ({ code }: NodeJS.ErrnoException) => (code === 'EACCES' ? DENIED : ''), // else it goes while it is being looked at
    );
    if (now === before?.fingerprint) return;
    const begun = before?.card || now === DENIED || /^model\.json /m.test(now); // model.json is written last
    if (!begun) return;
    const entry: Entry = { ...before, fingerprint: now, why: undefined };
    this.#entries.set(folder, entry);
    try {
      const card = await readModelCard(folder);
      if (verify) await verifyDigests(folder, card);
      if (!isDeepStrictEqual(card, before?.card)) found.push({ folder, card });
      entry.card = card;
    } catch (error) {
      if (!(error instanceof ModelFolderError)) throw error;
      entry.why = error.message;
      if (entry.why !== before?.why) refused.push({ folder, why: entry.why });
    }
  }
}

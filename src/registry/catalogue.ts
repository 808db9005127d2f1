import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { ModelCard } from '../model/card.ts';
import { findFolders, fingerprint, ModelFolderError, readModelCard, verifyDigests } from '../model/folder.ts';

/** The differences between a scan and the one before. */
export interface Changes {
  /** New folders, and those whose model.json has changed. */
  found: { folder: string; card: ModelCard }[];
  /** Folders that cannot be served. Each is reported once, and checked again when one of its files changes. */
  refused: { folder: string; why: string }[];
  /** Folders that no longer exist. */
  gone: string[];
}

interface Entry {
  fingerprint: string;
  /** The last card that could be served. */
  card?: ModelCard;
  /** Why the present contents cannot be served. */
  why?: string;
  /** Whether its version could not be loaded: it is found again when its files change, even to the same card. */
  unloaded?: boolean;
  /** Whether the last scan could not look into it. */
  hidden?: boolean;
}

/** Fingerprint of a folder that the service may not read. */
const DENIED = 'denied';

/** Detects changes of the model folders in MODEL_DIR. */
export class Catalogue {
  readonly #root: string;
  readonly #entries = new Map<string, Entry>();

  constructor(root: string) {
    this.#root = root;
  }

  /**
   * Compares MODEL_DIR with the last scan. With `verify`, a folder counts as found only when its files match the digests
   * in its model.json. Rejects with ModelFolderError when MODEL_DIR cannot be read; no folder counts as gone then, nor
   * does one below a folder that cannot be read.
   */
  async scan({ verify }: { verify: boolean }): Promise<Changes> {
    const changes: Changes = { found: [], refused: [], gone: [] };
    const { folders, unreadable } = await findFolders(this.#root).catch((error: Error) => {
      throw new ModelFolderError(`MODEL_DIR ${this.#root} cannot be read: ${error.message}`);
    });
    for (const folder of folders) await this.#scanFolder(folder, verify, changes);
    for (const [folder, entry] of this.#entries) {
      const why = unreadable.get(folder) ?? unreadable.get(path.dirname(folder));
      if (why !== undefined && entry.card && !entry.hidden)
        changes.refused.push({ folder, why: `${folder} cannot be read: ${why}; its version stays as it is` });
      entry.hidden = why !== undefined;
      if (entry.hidden || folders.includes(folder)) continue;
      this.#entries.delete(folder);
      if (entry.card) changes.gone.push(folder);
    }
    return changes;
  }

  /** Makes the next scan that sees a change of this folder report it as found, though its model.json may be the same. */
  forget(folder: string): void {
    const entry = this.#entries.get(folder);
    if (entry) entry.unloaded = true;
  }

  async #scanFolder(folder: string, verify: boolean, { found, refused }: Changes) {
    const before = this.#entries.get(folder);
    const now = await fingerprint(folder).catch(
      ({ code }: NodeJS.ErrnoException) => (code === 'EACCES' ? DENIED : ''), // other errors: the folder is being deleted
    );
    if (now === before?.fingerprint) return;
    const isComplete = before?.card || now === DENIED || /^model\.json /m.test(now); // model.json is written last
    if (!isComplete) return;
    const entry: Entry = { ...before, fingerprint: now, why: undefined };
    this.#entries.set(folder, entry);
    try {
      const card = await readModelCard(folder);
      if (verify) await verifyDigests(folder, card);
      if (entry.unloaded || !isDeepStrictEqual(card, before?.card)) found.push({ folder, card });
      entry.card = card;
      entry.unloaded = false;
    } catch (error) {
      if (!(error instanceof ModelFolderError)) throw error;
      entry.why = error.message;
      if (error.passing) entry.fingerprint = ''; // the next scan reads it again
      if (entry.why !== before?.why) refused.push({ folder, why: entry.why });
    }
  }
}

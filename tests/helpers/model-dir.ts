import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { openRealRegistry } from './model.ts';

type Card = Record<string, unknown>;

/** A temporary MODEL_DIR whose versions are copies of the real model. */
export class ModelDir {
  readonly root: string;
  readonly id: string;
  readonly #source: string;

  static async create(): Promise<ModelDir> {
    const { card, folder } = (await openRealRegistry()).get();
    return new ModelDir(await mkdtemp(path.join(os.tmpdir(), 'models-')), card.id, folder);
  }

  private constructor(root: string, id: string, source: string) {
    this.root = root;
    this.id = id;
    this.#source = source;
  }

  folder(version: string, id = this.id): string {
    return path.join(this.root, id, version);
  }

  /** Adds a copy of the real model as this version, with one rename like export.py. `change` edits its model.json. */
  async add(version: string, change: (card: Card) => void = () => {}, id = this.id): Promise<void> {
    const part = this.folder(`.${version}.part`, id);
    await cp(this.#source, part, { recursive: true });
    await editCard(part, (card) => {
      Object.assign(card, { id, version });
      change(card);
    });
    await rm(this.folder(version, id), { recursive: true, force: true });
    await rename(part, this.folder(version, id));
  }

  /** Edits model.json in place. */
  edit(version: string, change: (card: Card) => void): Promise<void> {
    return editCard(this.folder(version), change);
  }

  /** Flips a bit in the middle of unet.onnx. */
  async damage(version: string): Promise<void> {
    const file = path.join(this.folder(version), 'unet.onnx');
    const bytes = await readFile(file);
    bytes[bytes.length >> 1] ^= 1;
    await writeFile(file, bytes);
  }

  async withdraw(version: string): Promise<void> {
    await rm(this.folder(version), { recursive: true });
  }

  async remove(): Promise<void> {
    await rm(this.root, { recursive: true });
  }
}

async function editCard(folder: string, change: (card: Card) => void) {
  const file = path.join(folder, 'model.json');
  const card = JSON.parse(await readFile(file, 'utf8'));
  change(card);
  await writeFile(file, JSON.stringify(card));
}

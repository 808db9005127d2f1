import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { openRealRegistry } from './model.ts';
import { addRefiner } from './refiner.ts';

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

  folder(version: string): string {
    return path.join(this.root, this.id, version);
  }

  /**
   * Adds the real base model as a version, atomically, as export.py does. `change` edits its model.json. With `refiner`, it
   * gets the tiny refiner of tests/vectors.
   */
  async add(
    version: string,
    change: (card: Card) => void = () => {},
    { refiner = false } = {},
  ): Promise<void> {
    const { id } = this;
    const part = this.folder(`.${version}.part`);
    await cp(this.#source, part, { recursive: true });
    await editCard(part, async (card) => {
      Object.assign(card, { id, version });
      await removeRefiner(part, card);
      if (refiner) await addRefiner(part, card);
      change(card);
    });
    await rm(this.folder(version), { recursive: true, force: true });
    await rename(part, this.folder(version));
  }

  /** Edits a version's model.json in place. */
  edit(version: string, change: (card: Card) => void): Promise<void> {
    return editCard(this.folder(version), change);
  }

  /** Flips a bit in the middle of a file. */
  async damage(version: string, name = 'unet.onnx'): Promise<void> {
    const file = path.join(this.folder(version), name);
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

async function removeRefiner(folder: string, card: Card): Promise<void> {
  const files = card.files as Record<string, unknown>;
  delete card.refiner;
  for (const name of ['refiner.onnx', 'refiner.safetensors']) {
    delete files[name];
    await rm(path.join(folder, name), { force: true });
  }
}

async function editCard(folder: string, change: (card: Card) => void | Promise<void>) {
  const file = path.join(folder, 'model.json');
  const card = JSON.parse(await readFile(file, 'utf8'));
  await change(card);
  await writeFile(file, JSON.stringify(card));
}

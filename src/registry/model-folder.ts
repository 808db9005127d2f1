import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { type ModelCard, modelCard } from './model-card.ts';

/** A model's folder cannot be served; the message says which file and what to do. */
export class ModelFolderError extends Error {
  override name = 'ModelFolderError';
}

/** Folders `<root>/<id>/<version>` that hold a model.json, in no particular order. */
export async function findModelFolders(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true });
  return entries
    .filter((entry) => path.basename(entry) === 'model.json' && entry.split(path.sep).length === 3)
    .map((entry) => path.join(root, path.dirname(entry)));
}

/** Reads and checks model.json. Throws ModelFolderError. */
export async function readModelCard(folder: string): Promise<ModelCard> {
  const file = path.join(folder, 'model.json');
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new ModelFolderError(`${file} cannot be read: ${(error as Error).message}`);
  }
  const parsed = modelCard.safeParse(json);
  if (!parsed.success)
    throw new ModelFolderError(`${file} is not a model card:\n${z.prettifyError(parsed.error)}`);
  const { id, version, files } = parsed.data;
  const [idFolder, versionFolder] = folder.split(path.sep).slice(-2);
  if (id !== idFolder || version !== versionFolder) {
    throw new ModelFolderError(
      `${file} says ${id}/${version}, but lies in ${idFolder}/${versionFolder}: rename one`,
    );
  }
  if (!files['unet.onnx']) throw new ModelFolderError(`${file} names no unet.onnx: export the model again`);
  return parsed.data;
}

/** Compares every file with its digest. Throws ModelFolderError naming the first that differs. */
export async function verifyDigests(folder: string, card: ModelCard): Promise<void> {
  for (const [name, { sha256 }] of Object.entries(card.files)) {
    const file = path.join(folder, name);
    const hash = createHash('sha256');
    try {
      await pipeline(createReadStream(file), hash);
    } catch (error) {
      throw new ModelFolderError(`${file} cannot be read: ${(error as Error).message}`);
    }
    if (hash.digest('hex') !== sha256) {
      throw new ModelFolderError(
        `${file} is not the file that model.json describes (sha256 differs): copy it again`,
      );
    }
  }
}

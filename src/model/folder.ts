import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { type ModelCard, modelCard } from './card.ts';

/** A model's folder cannot be served; the message says which file and what to do. */
export class ModelFolderError extends Error {
  override name = 'ModelFolderError';
}

const AGAIN = 'copy the version again, or export it again';

function unreadable(file: string, { code, message }: NodeJS.ErrnoException): ModelFolderError {
  const known: Record<string, string> = {
    ENOENT: `it is not there; ${AGAIN}`,
    EACCES: `the service's user may not; chmod -R a+rX ${path.dirname(file)}`,
  };
  return new ModelFolderError(`${file} cannot be read: ${known[code ?? ''] ?? message}`);
}

/**
 * Folders `<root>/<id>/<version>`, in no particular order; links are followed, hidden ones (a copy under way) are not.
 * Rejects when root cannot be read.
 */
export async function findFolders(root: string): Promise<string[]> {
  const ids = await subfolders(root);
  return (await Promise.all(ids.map((id) => subfolders(id).catch(() => [])))).flat();
}

async function subfolders(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => !name.startsWith('.'));
  const paths = names.map((name) => path.join(folder, name));
  const isFolder = await Promise.all(
    paths.map((each) =>
      stat(each).then(
        (s) => s.isDirectory(),
        () => false,
      ),
    ),
  );
  return paths.filter((_, i) => isFolder[i]);
}

/** Names, sizes, times and permissions of a folder's files, as a text that is another when any of them is. */
export async function fingerprint(folder: string): Promise<string> {
  const names = (await readdir(folder)).sort();
  const describe = async (name: string) => {
    const { size, mtimeMs, ino, mode, uid, gid } = await stat(path.join(folder, name));
    return [name, size, mtimeMs, ino, mode, uid, gid].join(' ');
  };
  return (await Promise.all(names.map((name) => describe(name).catch(() => name)))).join('\n');
}

/** Reads and checks model.json. Throws ModelFolderError. */
export async function readModelCard(folder: string): Promise<ModelCard> {
  const file = path.join(folder, 'model.json');
  const text = await readFile(file, 'utf8').catch((error) => {
    throw unreadable(file, error);
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ModelFolderError(
      `${file} cannot be read: it is no JSON (${(error as Error).message}); ${AGAIN}`,
    );
  }
  const parsed = modelCard.safeParse(json);
  if (!parsed.success)
    throw new ModelFolderError(
      `${file} is not a model card: export the model with the training/export.py of this release\n${z.prettifyError(parsed.error)}`,
    );
  const { id, version, files } = parsed.data;
  const [idFolder, versionFolder] = folder.split(path.sep).slice(-2);
  if (id !== idFolder || version !== versionFolder) {
    throw new ModelFolderError(
      `${file} says ${id}/${version}, but lies in ${idFolder}/${versionFolder}: rename one`,
    );
  }
  if (!files['unet.onnx']) throw new ModelFolderError(`${file} names no unet.onnx: ${AGAIN}`);
  return parsed.data;
}

/** Compares every file with its size and digest. Throws ModelFolderError naming the first that differs. */
export async function verifyDigests(folder: string, card: ModelCard): Promise<void> {
  for (const [name, { sha256, bytes }] of Object.entries(card.files)) {
    const file = path.join(folder, name);
    const hash = createHash('sha256');
    try {
      if ((await stat(file)).size !== bytes) {
        throw new ModelFolderError(
          `${file} is not of the ${bytes} bytes that model.json says: wait for its copy to end, or copy it again`,
        );
      }
      await pipeline(createReadStream(file), hash);
    } catch (error) {
      if (error instanceof ModelFolderError) throw error;
      throw unreadable(file, error as NodeJS.ErrnoException);
    }
    if (hash.digest('hex') !== sha256) {
      throw new ModelFolderError(
        `${file} is not the file that model.json describes (sha256 differs): copy it again`,
      );
    }
  }
}

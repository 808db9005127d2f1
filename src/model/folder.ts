import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { type ModelCard, modelCard } from './card.ts';
import { requiredFiles } from './networks.ts';

/** A model folder cannot be served. The message names the file and the remedy. */
export class ModelFolderError extends Error {
  override name = 'ModelFolderError';
  /** Whether it may be served later without a change: the system could not read a file now. */
  passing = false;
}

const COPY_AGAIN = 'copy or export this version again';

function unreadable(file: string, { code, message }: NodeJS.ErrnoException): ModelFolderError {
  const known: Record<string, string> = {
    ENOENT: `the file is missing; ${COPY_AGAIN}`,
    EACCES: `permission denied; run chmod -R a+rX ${path.dirname(file)}`,
  };
  const why = known[code ?? ''];
  const error = new ModelFolderError(`${file} cannot be read: ${why ?? message}`);
  error.passing = why === undefined;
  return error;
}

export interface Found {
  /** Paths of the folders `<root>/<id>/<version>`, in no particular order. */
  folders: string[];
  /** Paths below root that could not be looked into, and why: they may hold folders, or be some. */
  unreadable: Map<string, string>;
}

/**
 * Finds the folders of versions. Symbolic links are followed. Names that start with a dot are skipped: they are copies in
 * progress. Rejects when root cannot be read.
 */
export async function findFolders(root: string): Promise<Found> {
  const unreadable = new Map<string, string>();
  /** For what another process deletes meanwhile, and for files. */
  const orNone = (at: string) => (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') unreadable.set(at, error.message);
    return [];
  };
  const subfolders = async (folder: string): Promise<string[]> => {
    const names = (await readdir(folder)).filter((name) => !name.startsWith('.'));
    const paths = names.map((name) => path.join(folder, name));
    const kept = paths.map((each) =>
      stat(each).then((found) => (found.isDirectory() ? [each] : []), orNone(each)),
    );
    return (await Promise.all(kept)).flat();
  };
  const ids = await subfolders(root);
  const folders = await Promise.all(ids.map((id) => subfolders(id).catch(orNone(id))));
  return { folders: folders.flat(), unreadable };
}

/** Names, sizes, times and permissions of a folder's files, as one text for comparison. Rejects when the folder cannot be read. */
export async function fingerprint(folder: string): Promise<string> {
  const names = (await readdir(folder)).sort();
  const describe = async (name: string) => {
    const { size, mtimeMs, ino, mode, uid, gid } = await stat(path.join(folder, name));
    return [name, size, mtimeMs, ino, mode, uid, gid].join(' ');
  };
  return (await Promise.all(names.map((name) => describe(name).catch(() => name)))).join('\n');
}

/** Reads and validates a folder's model.json. Throws ModelFolderError. */
export async function readModelCard(folder: string): Promise<ModelCard> {
  const file = path.join(folder, 'model.json');
  const text = await readFile(file, 'utf8').catch((error) => {
    throw unreadable(file, error);
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ModelFolderError(`${file} is not valid JSON (${(error as Error).message}); ${COPY_AGAIN}`);
  }
  const parsed = modelCard.safeParse(json);
  if (!parsed.success)
    throw new ModelFolderError(
      `${file} is not a valid model card (docs/models.md); export or import the model again, or correct it\n${z.prettifyError(parsed.error)}`,
    );
  const card = parsed.data;
  const { id, version, files } = card;
  const [idFolder, versionFolder] = folder.split(path.sep).slice(-2);
  if (id !== idFolder || version !== versionFolder) {
    throw new ModelFolderError(
      `${file} describes ${id}/${version}, but its folder is ${idFolder}/${versionFolder}; rename one of them`,
    );
  }
  const missing = requiredFiles(card).find((name) => !files[name]);
  if (missing) throw new ModelFolderError(`${file} does not list ${missing}; ${COPY_AGAIN}`);
  return card;
}

/** Links may lead to another place in the folder only: a digest says nothing about who may read a file. */
async function assertInside(folder: string, file: string): Promise<void> {
  const [inside, target] = await Promise.all([realpath(folder), realpath(file)]);
  if (target.startsWith(inside + path.sep)) return;
  throw new ModelFolderError(`${file} is a link to ${target}, outside of its folder; copy the file into it`);
}

/** The SHA-256 of a file, in hexadecimal. Rejects when it cannot be read. */
export async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** Compares the size and SHA-256 of every listed file with the card. Throws ModelFolderError for the first that differs. */
export async function verifyDigests(folder: string, card: ModelCard): Promise<void> {
  for (const [name, { sha256, bytes }] of Object.entries(card.files)) {
    const file = path.join(folder, name);
    let digest: string;
    try {
      await assertInside(folder, file);
      if ((await stat(file)).size !== bytes) {
        throw new ModelFolderError(
          `${file} does not have the size given in model.json (${bytes} bytes); wait until it is copied, or copy it again`,
        );
      }
      digest = await digestOf(file);
    } catch (error) {
      if (error instanceof ModelFolderError) throw error;
      throw unreadable(file, error as NodeJS.ErrnoException);
    }
    if (digest !== sha256) {
      throw new ModelFolderError(`${file} does not match model.json (its SHA-256 differs); copy it again`);
    }
  }
}

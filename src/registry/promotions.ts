import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { ModelFolderError, readModelCard, verifyDigests } from '../model/folder.ts';
import { parseSplit, SplitError } from '../model/traffic-split.ts';

/** The contents of serving.json: the default model and its predecessors. */
const serving = z.strictObject({
  /** A reference or split in the notation of DEFAULT_MODEL. */
  default: z.string(),
  /** All promotions, oldest first; the last is the current one. */
  history: z.array(z.object({ default: z.string(), since: z.iso.datetime() })).default([]),
});
export type Serving = z.output<typeof serving>;

/** The default path of the serving file. */
export const servingFileIn = (modelDir: string) => path.join(modelDir, 'serving.json');

const REMEDY = 'set it with npm run promote -- <id>@<version>';
/** Maximum length of the history. */
const MAX_HISTORY = 100;

/** The contents are not those of a serving file. */
class InvalidServingError extends ModelFolderError {}

/** Reads the serving file; undefined when it does not exist. Rejects with ModelFolderError when it is invalid or unreadable. */
export async function readServing(file: string): Promise<Serving | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ModelFolderError(`${file} cannot be read: ${(error as Error).message}`);
  }
  try {
    const found = serving.parse(JSON.parse(text));
    parseSplit(found.default);
    return found;
  } catch (error) {
    const why = describe(error as Error);
    throw new InvalidServingError(`${file} is invalid: ${why}; ${REMEDY}`);
  }
}

function describe(error: Error): string {
  if (error instanceof z.ZodError) return z.prettifyError(error);
  return error instanceof SplitError ? `default ${error.message}` : error.message;
}

/** Where a promotion is verified and recorded. */
export interface PromotionTarget {
  modelDir: string;
  /** The serving file. */
  file: string;
}

/**
 * Makes `reference`, a versioned reference or split in the notation of DEFAULT_MODEL, the default model. Rejects with
 * ModelFolderError when one of its versions is missing or damaged, with SplitError when the notation is invalid. The history
 * begins anew where the file was invalid, and records a default that was written by hand.
 */
export async function promote({ modelDir, file }: PromotionTarget, reference: string): Promise<void> {
  for (const { reference: id } of parseSplit(reference))
    if (!id.includes('@')) throw new ModelFolderError(`${id}: the version is missing; write ${id}@<version>`);
  await verify(modelDir, reference);
  const before = await readServing(file).catch((error) => {
    if (error instanceof InvalidServingError) return undefined;
    throw error;
  });
  const history = before?.history ?? [];
  if (before && !isPromoted(before))
    history.push({ default: before.default, since: (await stat(file)).mtime.toISOString() });
  // A promotion that is repeated is one, so that one rollback undoes it.
  if (history.at(-1)?.default !== reference)
    history.push({ default: reference, since: new Date().toISOString() });
  await write(file, { default: reference, history: history.slice(-MAX_HISTORY) });
}

/** Whether the default was set by a promotion, and not by hand. */
const isPromoted = (serving: Serving) => serving.history.at(-1)?.default === serving.default;

/**
 * Undoes the last promotion. Resolves to the default model that is in effect again. Rejects with ModelFolderError when
 * there is no earlier promotion, or one of its versions is missing or damaged.
 */
export async function rollBack({ modelDir, file }: PromotionTarget): Promise<string> {
  const now = await readServing(file);
  const before = now && isPromoted(now) ? now.history.slice(0, -1) : (now?.history ?? []);
  const last = before.at(-1);
  if (!last) throw new ModelFolderError(`${file} contains no earlier promotion; ${REMEDY}`);
  await verify(modelDir, last.default);
  await write(file, { default: last.default, history: before });
  return last.default;
}

/** Of an id alone, as a default that was written by hand may be, the newest version is verified. */
async function verify(modelDir: string, reference: string) {
  for (const { reference: ref } of parseSplit(reference)) {
    const [id, version] = ref.split('@');
    const folder = path.join(modelDir, id, version ?? (await newestVersion(modelDir, id)));
    await verifyDigests(folder, await readModelCard(folder));
  }
}

async function newestVersion(modelDir: string, id: string): Promise<string> {
  const folder = path.join(modelDir, id);
  const versions = await readdir(folder).catch(() => []);
  const newest = Math.max(...versions.filter((name) => /^[0-9]+$/.test(name)).map(Number));
  if (newest < 0) throw new ModelFolderError(`${id} has no version in ${folder}`);
  return String(newest);
}

/** Writes a temporary file and renames it, so that no reader sees a partial file. */
async function write(file: string, content: Serving) {
  const part = `${file}.${process.pid}.part`;
  try {
    await writeFile(part, `${JSON.stringify(content, undefined, 2)}\n`);
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw new ModelFolderError(`${file} cannot be written: ${(error as Error).message}`);
  }
}

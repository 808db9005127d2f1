import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { ModelFolderError, readModelCard, verifyDigests } from '../model/folder.ts';
import { parseSplit } from '../model/traffic-split.ts';

/** What serving.json says: which model serves, and which ones did before. */
const serving = z.strictObject({
  /** As DEFAULT_MODEL is written. */
  default: z.string(),
  /** What was promoted, with the current one as the last. */
  history: z.array(z.object({ default: z.string(), since: z.iso.datetime() })).default([]),
});
export type Serving = z.output<typeof serving>;

/** The file next to the models, unless SERVING_FILE names another. */
export const servingFileIn = (modelDir: string) => path.join(modelDir, 'serving.json');

const REMEDY = 'write it with npm run promote -- <id>@<version>';
/** Promotions that are remembered. */
const HISTORY = 100;

/** undefined when there is none. Throws ModelFolderError when it cannot be read or is no such file. */
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
    const why = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new ModelFolderError(`${file} does not say what to serve: ${why}; ${REMEDY}`);
  }
}

export interface Place {
  modelDir: string;
  file: string;
}

/**
 * Makes `reference` (as DEFAULT_MODEL is written) what serves. Throws ModelFolderError when one of its models is not
 * there or not intact, SplitError when it is not written as it must be.
 */
export async function promote({ modelDir, file }: Place, reference: string): Promise<void> {
  await verify(modelDir, reference);
  const { history = [] } = (await readServing(file)) ?? {};
  const now = { default: reference, since: new Date().toISOString() };
  await write(file, { default: reference, history: [...history, now].slice(-HISTORY) });
}

/**
 * Goes back to what served before the last promotion, and says what that is. Throws ModelFolderError when there was
 * nothing, or it is not there or not intact any more.
 */
export async function rollBack({ modelDir, file }: Place): Promise<string> {
  const before = (await readServing(file))?.history.slice(0, -1) ?? [];
  const last = before.at(-1);
  if (!last) throw new ModelFolderError(`${file} knows of nothing that served before; ${REMEDY}`);
  await verify(modelDir, last.default);
  await write(file, { default: last.default, history: before });
  return last.default;
}

async function verify(modelDir: string, reference: string) {
  for (const { reference: ref } of parseSplit(reference)) {
    const [id, version] = ref.split('@');
    if (!version) throw new ModelFolderError(`name the version too: ${id}@<version>`);
    const folder = path.join(modelDir, id, version);
    await verifyDigests(folder, await readModelCard(folder));
  }
}

/** Written beside and renamed: nobody ever reads half of it. */
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

import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { usableCores, usableMemory } from '../machine.ts';
import { gpuFiles } from './absent.ts';
import type { Runtime } from './network.ts';

/** What a worker measures while it loads. A later start takes it from the cache, and can start all workers at once. */
const tuning = z.object({
  /** Resident memory of a worker, in bytes. */
  rssBytes: z.int().min(1),
  /** Rows of an evaluation: see EngineInfo. */
  bestBatch: z.int().min(1).max(1024),
});
export type Tuning = z.infer<typeof tuning>;

/** The default folder of the cache: that of the user's caches (XDG base directory specification). */
export const defaultCacheDir = () =>
  path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'ddpm-inpaint');

const require = createRequire(import.meta.url);

function versionOf(library: string): string | undefined {
  try {
    return require(`${library}/package.json`).version;
  } catch {
    return undefined;
  }
}

/** Everything that the measurements depend on: the machine, the software, and `digest`, which identifies the networks. */
export function tuningKey({ engine, device, library }: Runtime, digest: string, maxBatch?: number): string {
  const machine = [
    os.arch(),
    os.cpus()[0]?.model,
    usableCores(),
    usableMemory(),
    gpuFiles(),
    process.env.CUDA_VISIBLE_DEVICES,
  ];
  const software = [process.version, engine, device, library, versionOf(library)];
  const all = [2, ...machine, ...software, digest, maxBatch];
  return createHash('sha256').update(JSON.stringify(all)).digest('hex');
}

/** The measurements under a key; undefined when there are none, or none that can be read. */
export async function readTuning(folder: string, key: string): Promise<Tuning | undefined> {
  try {
    return tuning.parse(JSON.parse(await readFile(fileOf(folder, key), 'utf8')));
  } catch {
    return undefined;
  }
}

/** Keeps measurements. A folder that cannot be written, as in a read-only container, is no error: the next start measures. */
export async function writeTuning(folder: string, key: string, value: Tuning): Promise<void> {
  const file = fileOf(folder, key);
  const part = `${file}.${process.pid}`;
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(part, JSON.stringify(value));
    await rename(part, file);
  } catch {
    // See above.
  }
}

const fileOf = (folder: string, key: string) => path.join(folder, `tuning-${key.slice(0, 32)}.json`);

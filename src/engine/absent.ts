import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Runtime } from './network.ts';
import { libraryFolder } from './onnx-providers.ts';

/** How Linux names the files of GPUs and their drivers: NVIDIA, the graphics card interface (DRI), WSL, and two mobile ones. */
const GPU_FILES = /^(nvidia\d+|dxg|mali\d*|kgsl.*)$/;
const DRI_FILES = /^renderD\d+$/;

/**
 * Why a runtime cannot start here, from a look at files; undefined when it has to be tried. Trying takes a process that
 * loads large libraries, about a second for each runtime.
 *
 * @param gpus the GPUs of this machine; undefined where they cannot be listed
 */
export function whyAbsent({ engine, device, library }: Runtime, gpus = gpuFiles()): string | undefined {
  if (device === 'cpu') return undefined;

  if (engine === 'tfjs')
    return isInstalled(library) ? undefined : `${library} is not installed: docker/install-tfjs.sh gpu`;
  const isNvidia = device !== 'webgpu';
  if (isNvidia && !existsSync(path.join(libraryFolder(), `libonnxruntime_providers_${device}.so`)))
    return process.platform === 'linux' ? `onnxruntime's ${device} provider is not installed` : undefined;
  const usable = gpus?.filter((file) => !isNvidia || /nvidia|dxg/.test(file));
  return usable?.length === 0 ? 'this machine has no device file of such a GPU' : undefined;
}

/** The device files of GPUs (Linux); undefined on other systems, where GPUs have none. */
export function gpuFiles(platform: string = process.platform, folder = '/dev'): string[] | undefined {
  if (platform !== 'linux') return undefined;
  return [...matching(folder, GPU_FILES), ...matching(path.join(folder, 'dri'), DRI_FILES)];
}

function matching(folder: string, pattern: RegExp): string[] {
  try {
    return readdirSync(folder).filter((name) => pattern.test(name));
  } catch {
    return []; // there is no such folder
  }
}

function isInstalled(library: string): boolean {
  try {
    createRequire(import.meta.url).resolve(`${library}/package.json`);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND'; // it is there, and hides its package.json
  }
}

/**
 * The image functions, run in a thread pool. A pass over a picture of 12 megapixels takes tens of milliseconds, and must
 * not block health probes, progress events and other requests. Names, parameters and errors are the same as in tasks.ts.
 */
import { Piscina } from 'piscina';
import { usableCores } from '../engine/cores.ts';
import { PictureError } from './picture.ts';
import type { Refusal, Tasks } from './tasks.ts';

const FROM_SOURCE = import.meta.url.endsWith('.ts');
/** More threads would only compete with the network for cores. */
const MOST_THREADS = 4;

const pool = new Piscina({
  filename: new URL(FROM_SOURCE ? './tasks.ts' : './tasks.js', import.meta.url).href,
  execArgv: FROM_SOURCE ? ['--import', 'tsx'] : [],
  minThreads: 1,
  maxThreads: Math.min(MOST_THREADS, usableCores()),
  idleTimeout: 30_000,
});

function offload<Name extends keyof Tasks>(name: Name): Tasks[Name] {
  const call = async (...args: unknown[]) => {
    const answer: { value: unknown } | Refusal = await pool.run({ name, args });
    if ('value' in answer) return answer.value;
    const { field, code, message } = answer.refused;
    throw new PictureError(field, code, message);
  };
  return call as Tasks[Name];
}

export const decodePicture = offload('decodePicture');
export const decodeMask = offload('decodeMask');
export const growMask = offload('growMask');
export const maskFromAlpha = offload('maskFromAlpha');
export const measureHole = offload('measureHole');
export const pictureToTensor = offload('pictureToTensor');
export const knownRegion = offload('knownRegion');
export const planRegions = offload('planRegions');
export const levelPixels = offload('levelPixels');
export const composite = offload('composite');
export const uncertainty = offload('uncertainty');
export const encodePicture = offload('encodePicture');
export const encodeMask = offload('encodeMask');

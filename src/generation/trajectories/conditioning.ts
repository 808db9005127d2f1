import type { Sampler } from '../../diffusion/samplers/sampler.ts';
import type { Schedule } from '../../diffusion/schedule.ts';
import { square } from '../../image/picture.ts';
import type { Canvas } from './enlarge.ts';

/** The known part of the picture, at the model's resolution R. */
export interface Conditioning {
  /** [3, R, R] in -1..1; values in the hole are never used. */
  x0: Float32Array;
  /** [R, R], 1 in the hole, 0 where the picture is known. */
  mask: Float32Array;
}

/** How a picture at the model's resolution is denoised. */
export interface WholeOptions {
  sampler: Sampler;
  schedule: Schedule;
  conditioning: Conditioning;
  seed: number;
  /** Its index; each candidate has a noise stream of its own. */
  candidate: number;
  /** Makes the first x from noise; the noise itself when absent. */
  noised?: (noise: Float32Array) => Float32Array;
}

/** A timestep, and abar there: the share of the signal's variance in x_t. */
export interface NoiseLevel {
  timestep: number;
  abar: number;
}

/** The noise level of a sampler's step. */
export function noiseLevel(
  { schedule, sampler }: Pick<WholeOptions, 'schedule' | 'sampler'>,
  step: number,
): NoiseLevel {
  const timestep = sampler.timesteps[step];
  return { timestep, abar: schedule.abar[timestep] };
}

/** The estimate of a picture at the model's resolution, [3, R, R], as a canvas. */
export function wholeFill(x0: Float32Array): Canvas {
  return { level: 0, left: 0, top: 0, ...square(Math.sqrt(x0.length / 3)), x0 };
}

/** `found` in the hole and `known` outside it, all [3, R, R]. mask: [R, R], 1 in the hole. */
export function merged(found: Float32Array, known: Float32Array, mask: Float32Array): Float32Array {
  const both = new Float32Array(found.length);
  for (let from = 0; from < both.length; from += mask.length)
    for (let p = 0; p < mask.length; p++) both[from + p] = mask[p] === 1 ? found[from + p] : known[from + p];
  return both;
}

import { setImmediate } from 'node:timers/promises';
import { qSample } from '../diffusion/forward.ts';
import { gaussian } from '../diffusion/noise.ts';
import type { Schedule } from '../diffusion/schedule.ts';
import { type Picture, square } from '../image/picture.ts';
import { tensorToPicture } from '../image/region.ts';
import { pictureToTensor } from '../image/threads.ts';

/** Longest side of a noised picture, in pixels. */
export const LONGEST_SIDE = 256;

/**
 * The forward process: the middle square of a picture, at most LONGEST_SIDE pixels wide, noised to each of the given
 * timesteps (0..T-1) with the same noise.
 */
export async function diffuse(
  schedule: Schedule,
  picture: Picture,
  timesteps: readonly number[],
  seed: number,
): Promise<Picture[]> {
  const side = Math.min(picture.width, picture.height);
  const left = (picture.width - side) >> 1;
  const top = (picture.height - side) >> 1;
  const size = Math.min(side, LONGEST_SIDE);
  const x0 = await pictureToTensor(picture, { left, top, ...square(side) }, square(size));
  const epsilon = gaussian({ seed, candidate: 0, step: 0 }, x0.length);
  const noised: Picture[] = [];
  for (const t of timesteps) {
    noised.push(tensorToPicture(qSample(schedule, x0, t, epsilon), square(size)));
    await setImmediate(); // lets other requests run between two pictures
  }
  return noised;
}

/** Square pictures of one size, side by side. */
export function strip(pictures: readonly Picture[]): Picture {
  const { width: size } = pictures[0];
  const width = size * pictures.length;
  const data = new Uint8Array(width * size * 3);
  pictures.forEach((picture, i) => {
    for (let y = 0; y < size; y++) {
      data.set(picture.data.subarray(y * size * 3, (y + 1) * size * 3), (y * width + i * size) * 3);
    }
  });
  return { width, height: size, channels: 3, data };
}

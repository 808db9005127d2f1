import { assertSameSize } from './mask.ts';
import type { Mask, Picture } from './picture.ts';

/** The standard deviation, in byte values (0..255), that is shown as 255. */
const FULL_SCALE = 64;

/**
 * Uncertainty map: for each pixel of the hole, the population standard deviation across the candidates, averaged over
 * red, green and blue. A deviation of 64 byte values or more becomes 255. Outside the hole the map is 0.
 *
 * The result has the type of a mask, but its values are anything in 0..255.
 *
 * @throws PictureError 'mismatch' if a picture and the mask differ in size
 */
export function uncertainty(pictures: readonly Picture[], mask: Mask): Mask {
  for (const picture of pictures) assertSameSize(picture, mask);
  const map = new Uint8ClampedArray(mask.data.length);
  for (let p = 0; p < map.length; p++) {
    if (mask.data[p] === 0) continue;
    const deviation =
      (deviationAt(pictures, p, 0) + deviationAt(pictures, p, 1) + deviationAt(pictures, p, 2)) / 3;
    map[p] = (deviation * 255) / FULL_SCALE;
  }
  return { width: mask.width, height: mask.height, data: new Uint8Array(map.buffer) };
}

function deviationAt(pictures: readonly Picture[], pixel: number, channel: number): number {
  let sum = 0;
  let squares = 0;
  for (const { data, channels } of pictures) {
    const value = data[pixel * channels + channel];
    sum += value;
    squares += value * value;
  }
  // Sums of integers are exact: equal candidates give 0, never the square root of a negative number.
  const n = pictures.length;
  return Math.sqrt(n * squares - sum * sum) / n;
}

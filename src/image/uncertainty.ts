import { assertSameSize } from './mask.ts';
import type { Mask, Picture } from './picture.ts';

/** The standard deviation, in levels of 255, that is shown as 255. */
const FULL_SCALE = 64;

/**
 * How much the candidates disagree: for each pixel of the hole the standard deviation across the pictures (of the
 * population, averaged over red, green and blue), scaled so that 64 levels or more are 255. 0 outside the hole.
 *
 * Not a hole despite its type: one byte a pixel, 0..255.
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
  // Sums of integers: exact, so that equal candidates give 0 and never the root of a negative.
  const n = pictures.length;
  return Math.sqrt(n * squares - sum * sum) / n;
}

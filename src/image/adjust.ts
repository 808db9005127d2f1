import { growMask } from './grow.ts';
import type { Mask, Picture } from './picture.ts';

/**
 * A mask with its hole grown or shrunk by `pixels`, or reversed, as a picture: the hole in the given colour, all else
 * transparent.
 *
 * @param colour red, green, blue and alpha, 0..255
 * @throws PictureError 'empty-mask' if nothing is left of a hole that shrinks
 */
export function adjustMask(
  mask: Mask,
  operation: 'expand' | 'shrink' | 'reverse',
  pixels: number,
  colour: readonly number[],
): Picture {
  const { width, height } = mask;
  const hole = operation === 'reverse' ? 0 : 255;
  const { data } = operation === 'reverse' ? mask : growMask(mask, operation === 'expand' ? pixels : -pixels);
  const painted = new Uint8Array(width * height * 4);
  for (let p = 0; p < data.length; p++) if (data[p] === hole) painted.set(colour, p * 4);
  return { width, height, channels: 4, data: painted };
}

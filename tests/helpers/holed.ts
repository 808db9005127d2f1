import type { HoledPicture } from '../../src/generation/types.ts';
import { measureHole } from '../../src/image/mask.ts';
import type { Mask, Picture } from '../../src/image/picture.ts';

/** A picture with its measured hole. */
export function holed(picture: Picture, mask: Mask): HoledPicture {
  return { picture, mask, hole: measureHole(mask) };
}

import { clip, grown } from './box.ts';
import { distanceToKnown } from './distance.ts';
import { boundingBox } from './mask.ts';
import { type Box, type Mask, PictureError } from './picture.ts';

/**
 * The mask with its hole grown by `pixels` in every direction, or shrunk where `pixels` is negative. Its edge becomes hard.
 *
 * @throws PictureError 'empty-mask', field 'mask_grow', if nothing is left of the hole
 */
export function growMask(mask: Mask, pixels: number): Mask {
  const { width, height } = mask;
  const hole = boundingBox(mask);
  const data = new Uint8Array(mask.data.length);
  if (!hole) return { width, height, data };
  const margin = Math.max(1, pixels + 1);
  const area = clip(grown(hole, margin), mask) as Box;
  const inside = new Uint8Array(area.width * area.height);
  for (let y = 0; y < area.height; y++) {
    const from = (area.top + y) * width + area.left;
    inside.set(mask.data.subarray(from, from + area.width), y * area.width);
  }
  // Growing: the distance of a known pixel from the hole; shrinking: of a hole pixel from known ones.
  const measured = pixels > 0 ? inside.map((value) => 255 - value) : inside;
  const distance = distanceToKnown(measured, area.width, area.height);
  let left = 0;
  for (let p = 0; p < inside.length; p++) {
    if (!(pixels > 0 ? distance[p] <= pixels : distance[p] > -pixels)) continue;
    data[(area.top + Math.floor(p / area.width)) * width + area.left + (p % area.width)] = 255;
    left++;
  }
  if (left > 0) return { width, height, data };
  throw new PictureError(
    'mask_grow',
    'empty-mask',
    `nothing is left of the hole when it shrinks by ${-pixels} pixels`,
  );
}

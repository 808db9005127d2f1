import type { Box, Size } from './picture.ts';

/** All of a picture of this size. */
export const wholeBox = ({ width, height }: Size): Box => ({ left: 0, top: 0, width, height });

/** The part of a box that lies inside a picture of the given size; undefined if they do not overlap. */
export function clip(box: Box, size: Size): Box | undefined {
  const left = Math.max(0, box.left);
  const top = Math.max(0, box.top);
  const width = Math.min(size.width, box.left + box.width) - left;
  const height = Math.min(size.height, box.top + box.height) - top;
  return width > 0 && height > 0 ? { left, top, width, height } : undefined;
}

/** The box with `margin` more pixels on each side. */
export function grown({ left, top, width, height }: Box, margin: number): Box {
  return { left: left - margin, top: top - margin, width: width + 2 * margin, height: height + 2 * margin };
}

/** The smallest box that contains both. */
export function union(a: Box | undefined, b: Box): Box {
  if (!a) return b;
  const left = Math.min(a.left, b.left);
  const top = Math.min(a.top, b.top);
  const right = Math.max(a.left + a.width, b.left + b.width);
  const bottom = Math.max(a.top + a.height, b.top + b.height);
  return { left, top, width: right - left, height: bottom - top };
}

/** Whether two boxes have a pixel in common. */
export function overlap(a: Box, b: Box): boolean {
  const apart =
    a.left + a.width <= b.left ||
    b.left + b.width <= a.left ||
    a.top + a.height <= b.top ||
    b.top + b.height <= a.top;
  return !apart;
}

/**
 * A box of this size around the middle of another one, moved to lie within a picture whose size is `limits`. Where it is larger
 * than the picture, it begins at the picture's left or top edge.
 */
export function centredOn({ left, top, width, height }: Box, size: Size, limits: Size): Box {
  const start = (middle: number, length: number, limit: number) =>
    Math.max(0, Math.min(Math.round(middle - length / 2), limit - length));
  return {
    left: start(left + width / 2, size.width, limits.width),
    top: start(top + height / 2, size.height, limits.height),
    ...size,
  };
}

import { clip } from '../box.ts';
import type { Box, Mask, Size } from '../picture.ts';

/** Known pixels that a window of `side` pixels shows around the hole where it can. */
export const contextOf = (side: number) => side >> 2;

/** A box in pixels of level k of an image pyramid: one of its pixels covers 2^k x 2^k pixels of the picture. */
export type LevelBox = Box;

/** A box of the picture in pixels of level `level`, rounded outwards. */
export function atLevel({ left, top, width, height }: Box, level: number): LevelBox {
  const unit = 2 ** level;
  const [x, y] = [Math.floor(left / unit), Math.floor(top / unit)];
  return {
    left: x,
    top: y,
    width: Math.ceil((left + width) / unit) - x,
    height: Math.ceil((top + height) / unit) - y,
  };
}

/**
 * The part of a canvas that shows the picture. A canvas is at least as large as a window, and may extend far beyond the right
 * and bottom edges of a narrow picture.
 */
export function inPicture({ left, top, width, height }: LevelBox, level: number, picture: Size): LevelBox {
  const unit = 2 ** level;
  return {
    left,
    top,
    width: Math.min(width, Math.ceil(picture.width / unit) - left),
    height: Math.min(height, Math.ceil(picture.height / unit) - top),
  };
}

/** A box of a level in pixels of the picture. */
export function toPicture({ left, top, width, height }: LevelBox, level: number): Box {
  const unit = 2 ** level;
  return { left: left * unit, top: top * unit, width: width * unit, height: height * unit };
}

export interface Tiling {
  /** Of a window, in pixels. */
  side: number;
  /** Pixels that neighbouring windows share at least: their predictions are averaged there, so that no seam appears. */
  overlap: number;
}

/**
 * Square windows of `side` pixels that cover the hole's pixels in `part`, with context around them: one in the middle if it
 * fits, else a grid with overlaps. Windows lie in `canvas`, which is at least as large as one. Those without hole pixels
 * are left out.
 */
export function tile(
  mask: Mask,
  level: number,
  part: LevelBox,
  canvas: LevelBox,
  { side, overlap }: Tiling,
): LevelBox[] {
  const across = { canvasStart: canvas.left, canvasLength: canvas.width, side, overlap };
  const down = { canvasStart: canvas.top, canvasLength: canvas.height, side, overlap };
  const found: LevelBox[] = [];
  for (const top of starts(part.top, part.height, down)) {
    for (const left of starts(part.left, part.width, across)) {
      const window = { left, top, width: side, height: side };
      if (hasHole(mask, toPicture(window, level))) found.push(window);
    }
  }
  return found;
}

/** First pixels of the windows along one axis. */
function starts(
  start: number,
  length: number,
  { canvasStart, canvasLength, side, overlap }: Tiling & { canvasStart: number; canvasLength: number },
): number[] {
  const from = Math.max(canvasStart, start - contextOf(side));
  const to = Math.min(canvasStart + canvasLength, start + length + contextOf(side));
  const last = canvasStart + canvasLength - side;
  const within = (at: number) => Math.min(Math.max(at, canvasStart), last);
  if (to - from <= side) return [within(Math.round((from + to - side) / 2))];
  const count = Math.ceil((to - from - overlap) / (side - overlap));
  return Array.from({ length: count }, (_, i) =>
    within(Math.round(from + (i * (to - from - side)) / (count - 1))),
  );
}

function hasHole(mask: Mask, box: Box): boolean {
  const inside = clip(box, mask);
  if (!inside) return false;
  for (let y = inside.top; y < inside.top + inside.height; y++) {
    const start = y * mask.width + inside.left;
    if (mask.data.subarray(start, start + inside.width).includes(255)) return true;
  }
  return false;
}

import { distanceToKnown } from '../distance.ts';
import { clip } from '../mask.ts';
import type { Box, Mask } from '../picture.ts';

/** Hole pixels that lie close together. */
export interface HolePart {
  /** Their bounding box. */
  box: Box;
  /** Twice the largest distance of one of its pixels from a known pixel, in pixels; infinite where nothing is known. */
  thickness: number;
  /** The same for all but DEEP_SHARE of its pixels: where two scratches cross, a few pixels are further from the known ones. */
  usualThickness: number;
}

/** Pixels of the hole are grouped by square cells of this side; cells up to two apart belong to one part. */
const CELL = 16;
const REACH = 2;
/** With more parts than this, the cells are doubled: the work is bounded, however many specks a mask has. */
const MAX_PARTS = 32;
/** The thickness is measured on a copy of the part with at most this side, whose pixels are hole where all of theirs are. */
const MEASURED_SIDE = 256;
const DEEP_SHARE = 0.02;

/** Splits the hole into parts, at most 32, in order of their first cell. `hole`: the mask's bounding box. */
export function holeParts(mask: Mask, hole: Box): HolePart[] {
  for (let cell = CELL; ; cell *= 2) {
    const boxes = group(mask, hole, cell);
    if (boxes.length <= MAX_PARTS) return boxes.map((box) => ({ box, ...thicknessOf(mask, box) }));
  }
}

/** Bounding boxes of the groups of neighbouring cells with hole pixels. */
function group(mask: Mask, hole: Box, cell: number): Box[] {
  const columns = Math.ceil(hole.width / cell);
  const rows = Math.ceil(hole.height / cell);
  const cells: (Box | undefined)[] = new Array(columns * rows);
  for (let y = hole.top; y < hole.top + hole.height; y++) {
    const row = Math.floor((y - hole.top) / cell) * columns;
    const start = y * mask.width;
    const end = start + hole.left + hole.width;
    for (let at = mask.data.indexOf(255, start + hole.left); at >= 0 && at < end; ) {
      const x = at - start;
      const column = Math.floor((x - hole.left) / cell);
      const next = Math.min(end, start + hole.left + (column + 1) * cell);
      const last = lastHole(mask.data, at, next);
      cells[row + column] = union(cells[row + column], { left: x, top: y, width: last - at + 1, height: 1 });
      at = mask.data.indexOf(255, next);
    }
  }
  return connected(cells, columns, rows);
}

/** Index of the last hole pixel in from..to-1; `from` is one. */
function lastHole(data: Uint8Array, from: number, to: number): number {
  let last = to - 1;
  while (last > from && data[last] !== 255) last--;
  return last;
}

/** Flood fill over the cells; the union of the boxes of each group. Empties `cells`. */
function connected(cells: (Box | undefined)[], columns: number, rows: number): Box[] {
  const found: Box[] = [];
  for (let start = 0; start < cells.length; start++) {
    let box = cells[start];
    if (!box) continue;
    cells[start] = undefined;
    const open = [start];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const [column, row] = [at % columns, Math.floor(at / columns)];
      for (let y = Math.max(0, row - REACH); y <= Math.min(rows - 1, row + REACH); y++) {
        for (let x = Math.max(0, column - REACH); x <= Math.min(columns - 1, column + REACH); x++) {
          const cell = cells[y * columns + x];
          if (!cell) continue;
          cells[y * columns + x] = undefined;
          box = union(box, cell);
          open.push(y * columns + x);
        }
      }
    }
    found.push(box);
  }
  return found;
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

function thicknessOf(mask: Mask, box: Box): Pick<HolePart, 'thickness' | 'usualThickness'> {
  // With a rim of one pixel, which is known wherever the picture goes on.
  const rim = { left: box.left - 1, top: box.top - 1, width: box.width + 2, height: box.height + 2 };
  const area = clip(rim, mask) ?? box;
  const by = Math.max(1, Math.ceil(Math.max(area.width, area.height) / MEASURED_SIDE));
  const width = Math.ceil(area.width / by);
  const height = Math.ceil(area.height / by);
  const small = new Uint8Array(width * height).fill(255);
  for (let y = 0; y < area.height; y++) {
    const from = (area.top + y) * mask.width + area.left;
    const to = Math.floor(y / by) * width;
    for (let x = 0; x < area.width; x++) {
      if (mask.data[from + x] === 0) small[to + Math.floor(x / by)] = 0;
    }
  }
  const distances = distanceToKnown(small, width, height).filter((distance) => distance > 0);
  distances.sort();
  const thicknessAt = (index: number) => 2 * by * (distances.at(index) ?? 0);
  return {
    thickness: thicknessAt(-1),
    usualThickness: thicknessAt(-1 - Math.floor(distances.length * DEEP_SHARE)),
  };
}

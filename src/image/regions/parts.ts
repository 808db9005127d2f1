import { clip, grown, union } from '../box.ts';
import { distanceToKnown } from '../distance.ts';
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
/**
 * The thickness is measured on copies of the parts, with at most this many pixels in all and about one row and column more
 * for each: the largest parts are shrunk. A pixel of a copy is hole where all that it covers are.
 */
const MEASURED_PIXELS = 2 ** 22;
const DEEP_SHARE = 0.02;

/** Splits the hole into parts, at most 32, in order of their first cell. `hole`: the mask's bounding box. */
export function holeParts(mask: Mask, hole: Box): HolePart[] {
  for (let cell = CELL; ; cell *= 2) {
    const boxes = group(mask, hole, cell);
    if (boxes.length > MAX_PARTS) continue;
    return withThickness(mask, boxes);
  }
}

/** The parts in these boxes, in the same order. Small ones leave what they do not need of MEASURED_PIXELS to the larger ones. */
function withThickness(mask: Mask, boxes: readonly Box[]): HolePart[] {
  // With a rim of one pixel, which is known wherever the picture goes on.
  const areas = boxes.map((box) => clip(grown(box, 1), mask) ?? box);
  const sizes = areas.map(({ width, height }) => width * height);
  const parts: HolePart[] = new Array(boxes.length);
  let [left, waiting] = [MEASURED_PIXELS, boxes.length];
  for (const i of [...boxes.keys()].sort((a, b) => sizes[a] - sizes[b])) {
    const pixels = Math.min(sizes[i], left / waiting--);
    left -= pixels;
    parts[i] = { box: boxes[i], ...thicknessOf(mask, areas[i], pixels) };
  }
  return parts;
}

/** Bounding boxes of the groups of neighbouring cells with hole pixels. */
function group(mask: Mask, hole: Box, cell: number): Box[] {
  const columns = Math.ceil(hole.width / cell);
  const rows = Math.ceil(hole.height / cell);
  const cells: (Box | undefined)[] = new Array(columns * rows);
  for (let y = hole.top; y < hole.top + hole.height; y++) {
    const row = Math.floor((y - hole.top) / cell) * columns;
    const start = y * mask.width + hole.left;
    // A view of this row: a search in the whole mask would go on through all that follows.
    const line = mask.data.subarray(start, start + hole.width);
    for (let x = line.indexOf(255); x >= 0; ) {
      const column = Math.floor(x / cell);
      const next = (column + 1) * cell;
      const width = line.subarray(x, next).lastIndexOf(255) + 1;
      const run = { left: hole.left + x, top: y, width, height: 1 };
      cells[row + column] = union(cells[row + column], run);
      x = line.indexOf(255, next);
    }
  }
  return connected(cells, columns, rows);
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

/** `pixels`: how many may be measured. */
function thicknessOf(mask: Mask, area: Box, pixels: number): Pick<HolePart, 'thickness' | 'usualThickness'> {
  const by = Math.ceil(Math.sqrt((area.width * area.height) / pixels));
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
  const { deepest, usual } = depths(distanceToKnown(small, width, height), width + height);
  // Where the hole vanishes in the copy, it is thinner than 2 * by: half of that is counted.
  const pixelsOf = (distance: number) => (distance === 0 ? by : 2 * by * distance);
  return { thickness: pixelsOf(deepest), usualThickness: pixelsOf(usual) };
}

/** The largest distance, and the largest of all but DEEP_SHARE of those above 0. `bound`: finite distances are below it. */
function depths(distances: Float32Array, bound: number): { deepest: number; usual: number } {
  // The chamfer metric has multiples of a third of a pixel, so counting them takes the place of sorting. The last count is
  // that of infinite distances.
  const last = 3 * bound;
  const counts = new Uint32Array(last + 1);
  let hole = 0;
  for (let p = 0; p < distances.length; p++) {
    if (distances[p] === 0) continue;
    counts[Math.min(Math.round(3 * distances[p]), last)]++;
    hole++;
  }
  const largestBut = (skipped: number) => {
    let third = last + 1;
    for (let seen = 0; third > 0 && seen <= skipped; ) seen += counts[--third];
    return third === last ? Number.POSITIVE_INFINITY : third / 3;
  };
  return { deepest: largestBut(0), usual: largestBut(Math.floor(hole * DEEP_SHARE)) };
}

import type { Point, Shape } from '../state/types.ts';
import type { Pixels } from './tiles.ts';

/** Draws a stroke, a rectangle or a lasso into a mask, or erases it there. */
export function drawShape(mask: Pixels, shape: Shape): void {
  if (shape.kind === 'stroke') drawStroke(mask, shape);
  else if (shape.kind === 'rectangle') drawRectangle(mask, shape);
  else drawPolygon(mask, shape.points, shape.erase);
}

/**
 * A stroke covers a pixel by the distance of the pixel's centre to the path: fully up to `hardness` of the radius, then
 * less and less, and nothing beyond the radius. A hard edge is one pixel wide.
 */
function drawStroke(mask: Pixels, { points, size, hardness, erase }: Extract<Shape, { kind: 'stroke' }>) {
  const radius = Math.max(0.5, size / 2);
  const hard = radius * hardness;
  const soft = Math.max(radius - hard, 1);
  const thinned = thin(points, radius / 6);
  for (let i = 0; i < thinned.length; i++) {
    const a = thinned[i];
    const b = thinned[i + 1] ?? (i === 0 ? a : undefined);
    if (b) drawSegment(mask, a, b, { radius, soft, erase });
  }
}

/** Leaves out points that are closer than `distance` to the one before; the last point stays. */
function thin(points: readonly Point[], distance: number): Point[] {
  const kept: Point[] = [];
  for (const [i, point] of points.entries()) {
    const before = kept.at(-1);
    if (!before || i === points.length - 1 || Math.hypot(point.x - before.x, point.y - before.y) >= distance)
      kept.push(point);
  }
  return kept;
}

function drawSegment(
  { width, height, data }: Pixels,
  a: Point,
  b: Point,
  { radius, soft, erase }: { radius: number; soft: number; erase: boolean },
) {
  const left = Math.max(0, Math.floor(Math.min(a.x, b.x) - radius - 1));
  const right = Math.min(width - 1, Math.ceil(Math.max(a.x, b.x) + radius));
  const top = Math.max(0, Math.floor(Math.min(a.y, b.y) - radius - 1));
  const bottom = Math.min(height - 1, Math.ceil(Math.max(a.y, b.y) + radius));
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const squared = dx * dx + dy * dy;
  for (let y = top; y <= bottom; y++) {
    const py = y + 0.5 - a.y;
    for (let x = left; x <= right; x++) {
      const px = x + 0.5 - a.x;
      const along = squared > 0 ? Math.min(1, Math.max(0, (px * dx + py * dy) / squared)) : 0;
      const distance = Math.sqrt((px - along * dx) ** 2 + (py - along * dy) ** 2);
      const cover = Math.round(255 * Math.min(1, (radius + 0.5 - distance) / soft));
      if (cover <= 0) continue;
      const at = y * width + x;
      data[at] = erase ? Math.min(data[at], 255 - cover) : Math.max(data[at], cover);
    }
  }
}

function drawRectangle(mask: Pixels, { box, erase }: Extract<Shape, { kind: 'rectangle' }>) {
  const left = Math.max(0, Math.round(box.left));
  const right = Math.min(mask.width, Math.round(box.left + box.width));
  const bottom = Math.min(mask.height, Math.round(box.top + box.height));
  for (let y = Math.max(0, Math.round(box.top)); y < bottom; y++)
    if (right > left) mask.data.fill(erase ? 0 : 255, y * mask.width + left, y * mask.width + right);
}

/** The inside of a closed path, by the non-zero rule at pixel centres: a path that goes past its start cuts nothing out. */
function drawPolygon({ width, height, data }: Pixels, points: readonly Point[], erase: boolean) {
  if (points.length < 3) return;
  for (let y = 0; y < height; y++) {
    const crossings: { x: number; turn: 1 | -1 }[] = [];
    const centre = y + 0.5;
    for (const [i, a] of points.entries()) {
      const b = points[(i + 1) % points.length];
      if (a.y <= centre === b.y <= centre) continue;
      const x = a.x + ((centre - a.y) / (b.y - a.y)) * (b.x - a.x);
      crossings.push({ x, turn: a.y < b.y ? 1 : -1 });
    }
    crossings.sort((p, q) => p.x - q.x);
    let winding = 0;
    for (let i = 0; i + 1 < crossings.length; i++) {
      winding += crossings[i].turn;
      if (winding === 0) continue;
      const from = Math.max(0, Math.ceil(crossings[i].x - 0.5));
      const to = Math.min(width, Math.ceil(crossings[i + 1].x - 0.5));
      if (to > from) data.fill(erase ? 0 : 255, y * width + from, y * width + to);
    }
  }
}

import type { Box, PlanLevel, Shape, Viewport } from '../state/types.ts';

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

const TINT = '#ff2d6a';

/** Draws the visible part of a picture, from the smallest level that has enough pixels. */
export function paintPicture(
  context: Context,
  levels: readonly ImageBitmap[],
  size: { width: number; height: number },
  part: Box,
  { scale, x, y }: Viewport,
  pixelRatio: number,
): void {
  const wanted = scale * pixelRatio;
  const level = levels.findLast((each) => each.width / size.width >= Math.min(1, wanted)) ?? levels[0];
  const sx = level.width / size.width;
  const sy = level.height / size.height;
  context.imageSmoothingEnabled = scale < 16;
  context.drawImage(
    level,
    part.left * sx,
    part.top * sy,
    part.width * sx,
    part.height * sy,
    x + part.left * scale,
    y + part.top * scale,
    part.width * scale,
    part.height * scale,
  );
}

/** The checkerboard that shows through transparent pixels. */
export function paintCheckerboard(context: Context, box: Box): void {
  const side = 10;
  context.fillStyle = '#fff';
  context.fillRect(box.left, box.top, box.width, box.height);
  context.fillStyle = '#cfd3d8';
  context.beginPath();
  for (let y = 0; y * side < box.height; y++) {
    for (let x = y % 2; x * side < box.width; x += 2) {
      const width = Math.min(side, box.width - x * side);
      context.rect(box.left + x * side, box.top + y * side, width, Math.min(side, box.height - y * side));
    }
  }
  context.fill();
}

/** Draws a shape that is not part of the mask yet, opaquely, or takes it away. */
export function paintShape(context: Context, shape: Shape): void {
  context.save();
  context.globalCompositeOperation = shape.erase ? 'destination-out' : 'source-over';
  context.fillStyle = context.strokeStyle = TINT;
  if (shape.kind === 'rectangle') {
    const { left, top, width, height } = shape.box;
    context.fillRect(left, top, width, height);
  } else if (shape.kind === 'lasso') {
    context.fill(pathOf(shape.points)); // by the non-zero rule, as in the mask
  } else {
    context.lineCap = context.lineJoin = 'round';
    const path = pathOf(shape.points);
    // The soft rim in a few rings; the mask itself is exact.
    const rings = shape.hardness < 1 ? [1, 0.75, 0.5, 0.25, 0] : [0];
    context.globalAlpha = 1 / rings.length;
    for (const ring of rings) {
      context.lineWidth = Math.max(0.5, shape.size * (shape.hardness + (1 - shape.hardness) * ring));
      context.stroke(path);
    }
  }
  context.restore();
}

function pathOf(points: readonly { x: number; y: number }[]): Path2D {
  const path = new Path2D();
  const [first, ...rest] = points;
  path.moveTo(first.x, first.y);
  path.lineTo(first.x, first.y); // a single point is a dot
  for (const { x, y } of rest) path.lineTo(x, y);
  return path;
}

/** The outline of what is being drawn: of a rectangle or a lasso. */
export function paintOutline(context: Context, shape: Shape, scale: number): void {
  if (shape.kind === 'stroke') return;
  const path = shape.kind === 'lasso' ? pathOf(shape.points) : new Path2D();
  if (shape.kind === 'rectangle') {
    const { left, top, width, height } = shape.box;
    path.rect(left, top, width, height);
  }
  paintLine(context, path, '#fff', scale);
}

/** What the model saw: a box, or the windows of every level. */
export function paintWindows(context: Context, levels: readonly PlanLevel[], scale: number): void {
  const colours = ['#ffd54a', '#5ce0ff', '#7dff8a', '#ff9df5', '#ffa45c'];
  for (const [i, { windows }] of levels.entries()) {
    const path = new Path2D();
    for (const { left, top, width, height } of windows) path.rect(left, top, width, height);
    paintLine(context, path, colours[i % colours.length], scale);
  }
}

function paintLine(context: Context, path: Path2D, colour: string, scale: number): void {
  context.save();
  context.lineWidth = 3 / scale;
  context.strokeStyle = '#000a';
  context.stroke(path);
  context.lineWidth = 1.5 / scale;
  context.strokeStyle = colour;
  context.stroke(path);
  context.restore();
}

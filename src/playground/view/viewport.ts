import type { Box, Point, Viewport } from '../state/types.ts';

interface Size {
  width: number;
  height: number;
}

/** CSS pixels per pixel of the picture. */
const SMALLEST = 0.02;
const LARGEST = 40;
/** A small picture is enlarged at most this much to fit. */
const LARGEST_FIT = 12;
const MARGIN = 12;

/** In a narrower stage the zoom bar would lie over the lower edge of the picture: its height is left free. */
const NARROW = 600;
const ZOOM_BAR = 54; // with what a handle of Extend takes beyond the margin

/** The whole picture, centred. */
export function fitted(picture: Size, { width, height }: Size): Viewport {
  const room = { width, height: width < NARROW ? height - ZOOM_BAR : height };
  const scale = Math.min(
    (room.width - 2 * MARGIN) / picture.width,
    (room.height - 2 * MARGIN) / picture.height,
    LARGEST_FIT,
  );
  return centred(picture, room, Math.max(scale, SMALLEST / 10), true);
}

export function centred(picture: Size, stage: Size, scale: number, fitted = false): Viewport {
  const x = (stage.width - picture.width * scale) / 2;
  return { scale, x, y: (stage.height - picture.height * scale) / 2, fitted };
}

/** The same view, with the picture's corner on a whole pixel of the screen: between two, 100 % would be blurred. */
export function aligned(viewport: Viewport, pixelRatio: number): Viewport {
  const align = (position: number) => Math.round(position * pixelRatio) / pixelRatio;
  return { ...viewport, x: align(viewport.x), y: align(viewport.y) };
}

/** Zooms so that the picture's point under `at` (CSS pixels of the stage) stays where it is. */
export function zoomed({ scale, x, y }: Viewport, factor: number, at: Point): Viewport {
  const next = Math.min(LARGEST, Math.max(SMALLEST, scale * factor));
  const by = next / scale;
  return { scale: next, x: at.x - (at.x - x) * by, y: at.y - (at.y - y) * by, fitted: false };
}

/** Zooms so that the point in the middle of the stage stays where it is. */
export const zoomedInMiddle = (viewport: Viewport, factor: number, { width, height }: Size): Viewport =>
  zoomed(viewport, factor, { x: width / 2, y: height / 2 });

/** Moves the picture; a part of it always stays in sight. */
export function panned(viewport: Viewport, dx: number, dy: number, picture: Size, stage: Size): Viewport {
  const { scale } = viewport;
  const keep = (start: number, length: number, room: number) =>
    Math.min(room - 40, Math.max(40 - length * scale, start));
  return {
    ...viewport,
    x: keep(viewport.x + dx, picture.width, stage.width),
    y: keep(viewport.y + dy, picture.height, stage.height),
    fitted: false,
  };
}

/** The position in the picture, in its pixels, of a position in the stage. */
export const toPicture = ({ scale, x, y }: Viewport, at: Point): Point => ({
  x: (at.x - x) / scale,
  y: (at.y - y) / scale,
});

export const toStage = ({ scale, x, y }: Viewport, at: Point): Point => ({
  x: at.x * scale + x,
  y: at.y * scale + y,
});

/** The part of the picture that can be seen, in whole pixels; undefined if there is none. */
export function visible(viewport: Viewport, picture: Size, stage: Size): Box | undefined {
  const from = toPicture(viewport, { x: 0, y: 0 });
  const to = toPicture(viewport, { x: stage.width, y: stage.height });
  const left = Math.max(0, Math.floor(from.x));
  const top = Math.max(0, Math.floor(from.y));
  const width = Math.min(picture.width, Math.ceil(to.x)) - left;
  const height = Math.min(picture.height, Math.ceil(to.y)) - top;
  return width > 0 && height > 0 ? { left, top, width, height } : undefined;
}

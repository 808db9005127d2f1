import { NO_FRAME } from '../state/store.ts';
import type { Box, Point, Viewport } from '../state/types.ts';

interface Size {
  width: number;
  height: number;
}

/** CSS pixels per pixel of the picture. */
const LARGEST = 40;
/** A small picture is enlarged at most this much to fit. */
const LARGEST_FIT = 12;
const MARGIN = 12;
/** Nothing is made smaller than this share of its fitted size, or than 100 % where that is smaller still. */
const SMALLEST_OF_FIT = 1 / 4;
/** At least this much of the picture stays in sight, in CSS pixels. */
const IN_SIGHT = 40;

/** The corner of the stage that the zoom bar takes, with what a handle of Extend takes beyond the margin. */
const ZOOM_BAR = { width: 300, height: 54 };

/** The whole picture with the frame around it, centred, and clear of the zoom bar. */
export function fitted({ width, height }: Size, stage: Size, frame = NO_FRAME): Viewport {
  const { left, top, right, bottom } = frame;
  const { scale, x, y } = clear({ width: left + width + right, height: top + height + bottom }, stage);
  return { scale, x: x + left * scale, y: y + top * scale, fitted: true };
}

function clear(picture: Size, stage: Size): Viewport {
  const view = fittedIn(stage, picture);
  const right = view.x + picture.width * view.scale;
  const bottom = view.y + picture.height * view.scale;
  const isCovered = right > stage.width - ZOOM_BAR.width && bottom > stage.height - ZOOM_BAR.height;
  return isCovered ? fittedIn({ ...stage, height: stage.height - ZOOM_BAR.height }, picture) : view;
}

function fittedIn(room: Size, picture: Size): Viewport {
  const scale = Math.min(
    (room.width - 2 * MARGIN) / picture.width,
    (room.height - 2 * MARGIN) / picture.height,
    LARGEST_FIT,
  );
  return centred(picture, room, Math.max(scale, 0.002));
}

export function centred(picture: Size, stage: Size, scale: number): Viewport {
  const x = (stage.width - picture.width * scale) / 2;
  return { scale, x, y: (stage.height - picture.height * scale) / 2, fitted: false };
}

/** The same view, with the picture's corner on a whole pixel of the screen: between two, 100 % would be blurred. */
export function aligned(viewport: Viewport, pixelRatio: number): Viewport {
  const align = (position: number) => Math.round(position * pixelRatio) / pixelRatio;
  return { ...viewport, x: align(viewport.x), y: align(viewport.y) };
}

/** Zooms so that the picture's point under `at` (CSS pixels of the stage) stays where it is, as far as `panned` allows. */
export function zoomed(viewport: Viewport, factor: number, at: Point, picture: Size, stage: Size): Viewport {
  const smallest = Math.min(1, viewport.scale, fitted(picture, stage).scale * SMALLEST_OF_FIT);
  const scale = Math.min(LARGEST, Math.max(smallest, viewport.scale * factor));
  const by = scale / viewport.scale;
  const [x, y] = [at.x - (at.x - viewport.x) * by, at.y - (at.y - viewport.y) * by];
  return panned({ ...viewport, scale, x, y }, 0, 0, picture, stage);
}

/** Zooms so that the point in the middle of the stage stays where it is. */
export const zoomedInMiddle = (viewport: Viewport, factor: number, picture: Size, stage: Size): Viewport =>
  zoomed(viewport, factor, { x: stage.width / 2, y: stage.height / 2 }, picture, stage);

/** Moves the picture; a part of it always stays in sight. */
export function panned(viewport: Viewport, dx: number, dy: number, picture: Size, stage: Size): Viewport {
  const { scale } = viewport;
  const keep = (start: number, length: number, room: number) =>
    Math.min(room - IN_SIGHT, Math.max(IN_SIGHT - length * scale, start));
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

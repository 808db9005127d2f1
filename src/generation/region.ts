import type { Box, Picture } from '../image/picture.ts';
import type { InpaintParameters } from './types.ts';

export interface Region {
  strategy: 'crop' | 'resize';
  box: Box;
}

/** A picture up to this many times the model's resolution is shown whole: context matters more than sharpness. */
const WHOLE_UP_TO = 4;
/** Largest aspect ratio of a picture that is shown whole: squashed more, it no longer resembles the training pictures. */
const SQUASH = 1.5;

/**
 * Chooses the part of the picture that the model is shown.
 *
 * - resize: all of it, brought to the model's square.
 * - crop: a square around the hole with `padding` pixels of context (by default as many as the hole is large),
 *   never less than the model's resolution, moved to lie within the picture, and cut off where the picture is smaller.
 * - auto: resize for pictures that lose little by it, crop for large and elongated ones.
 */
export function chooseRegion(
  picture: Pick<Picture, 'width' | 'height'>,
  hole: Box,
  resolution: number,
  { strategy, padding }: Pick<InpaintParameters, 'strategy' | 'padding'>,
): Region {
  const { width, height } = picture;
  const long = Math.max(width, height);
  const whole = long <= WHOLE_UP_TO * resolution && long / Math.min(width, height) <= SQUASH;
  if (strategy === 'resize' || (strategy === 'auto' && whole)) {
    return { strategy: 'resize', box: { left: 0, top: 0, width, height } };
  }
  const size = Math.max(hole.width, hole.height);
  const side = Math.max(resolution, size + 2 * (padding ?? size));
  const [left, boxWidth] = spanAround(hole.left, hole.width, side, width);
  const [top, boxHeight] = spanAround(hole.top, hole.height, side, height);
  return { strategy: 'crop', box: { left, top, width: boxWidth, height: boxHeight } };
}

/** A span of `side` centred on start..start+length, moved and cut to lie in 0..limit. */
function spanAround(
  start: number,
  length: number,
  side: number,
  limit: number,
): [start: number, length: number] {
  if (side >= limit) return [0, limit];
  const centred = Math.round(start + length / 2 - side / 2);
  return [Math.min(Math.max(0, centred), limit - side), side];
}

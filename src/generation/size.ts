import { exceededLimit, type Size, type SizeLimits } from '../image/picture.ts';
import { InvalidParameterError } from './errors.ts';

const text = ({ width, height }: Size) => `${width}x${height}`;

/** Checks that results of this size are not larger than a picture may be. Throws InvalidParameterError. */
export function assertWithin(wanted: Size | undefined, limits: Required<SizeLimits>): void {
  if (!wanted || !exceededLimit(wanted, limits)) return;
  const accepted = `at most ${limits.maxPixels} pixels, and ${limits.maxSide} on each side, are accepted`;
  throw new InvalidParameterError('size', `size is ${text(wanted)}; ${accepted}`);
}

/** Checks that results of this size have the proportions of the picture, up to rounding. Throws InvalidParameterError. */
export function assertProportional(wanted: Size | undefined, picture: Size): void {
  if (!wanted) return;
  const { width, height } = picture;
  if (wanted.height === Math.round((wanted.width * height) / width)) return;
  if (wanted.width === Math.round((wanted.height * width) / height)) return;
  const twice = text({ width: 2 * width, height: 2 * height });
  const message = `size is ${text(wanted)}; the picture has other proportions: ask for ${text(picture)}, or for ${twice}`;
  throw new InvalidParameterError('size', message);
}

import { type Size, square } from '../image/picture.ts';
import { InvalidParameterError } from './errors.ts';
import type { PreparedRequest } from './prepare.ts';

/** The size of a request's results. */
export function resultSize(prepared: PreparedRequest): Size {
  if (prepared.size) return prepared.size;
  return 'input' in prepared ? prepared.input.picture : square(prepared.model.card.resolution);
}

interface SizeLimits {
  maxPixels: number;
  maxSide: number;
}

/**
 * Checks the size that the results shall have: it must have the proportions of the picture, up to rounding, and not be
 * larger than a picture may be. Throws InvalidParameterError.
 */
export function assertSize(
  wanted: Size | undefined,
  { width, height }: Size,
  { maxPixels, maxSide }: SizeLimits,
) {
  if (!wanted) return;
  const text = (size: Size) => `${size.width}x${size.height}`;
  const scaled = { width: wanted.width, height: Math.round((wanted.width * height) / width) };
  if (scaled.height !== wanted.height && Math.round((wanted.height * width) / height) !== wanted.width) {
    const example = text({ width: 2 * width, height: 2 * height });
    const message = `size is ${text(wanted)}; the picture has other proportions: ask for ${text({ width, height })}, or ${example}`;
    throw new InvalidParameterError('size', message);
  }
  if (wanted.width * wanted.height > maxPixels || Math.max(wanted.width, wanted.height) > maxSide) {
    const limit = `at most ${maxPixels} pixels and ${maxSide} on each side are accepted`;
    throw new InvalidParameterError('size', `size is ${text(wanted)}; ${limit}`);
  }
}

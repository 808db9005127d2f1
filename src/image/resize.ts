import type { Box, Size } from './picture.ts';
import sharp from './sharp.ts';

/**
 * Resizes width * height * 3 bytes, without keeping the aspect ratio: with a Lanczos kernel to shrink, with a cubic
 * kernel to enlarge. If neither the size changes nor a part is wanted, the input itself is
 * returned, not a copy.
 *
 * @param part of the result that is wanted, all of it by default. No other pixels are computed, and these have the same
 *   values.
 */
export async function resizeRgb(rgb: Uint8Array, from: Size, to: Size, part?: Box): Promise<Uint8Array> {
  if (from.width === to.width && from.height === to.height) return part ? cropped(rgb, from, part) : rgb;
  const raw = { width: from.width, height: from.height, channels: 3 } as const;
  const pipeline = sharp(rgb, { raw, limitInputPixels: false }); // MAX_PIXELS may be above sharp's limit
  pipeline.resize(to.width, to.height, { fit: 'fill', kernel: 'lanczos3' });
  if (part) pipeline.extract(part);
  return pipeline.raw().toBuffer();
}

function cropped(rgb: Uint8Array, size: Size, { left, top, width, height }: Box): Uint8Array {
  const crop = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * size.width + left) * 3;
    crop.set(rgb.subarray(from, from + width * 3), y * width * 3);
  }
  return crop;
}

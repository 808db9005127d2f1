import sharp from './sharp.ts';

interface Size {
  width: number;
  height: number;
}

/**
 * Resizes width * height * 3 bytes, without keeping the aspect ratio: with a Lanczos kernel to shrink, with a cubic
 * kernel to enlarge. If the size does not change, the input itself is returned, not a copy.
 */
export async function resizeRgb(rgb: Uint8Array, from: Size, to: Size): Promise<Uint8Array> {
  if (from.width === to.width && from.height === to.height) return rgb;
  return sharp(rgb, { raw: { width: from.width, height: from.height, channels: 3 } })
    .resize(to.width, to.height, { fit: 'fill', kernel: 'lanczos3' })
    .raw()
    .toBuffer();
}

import sharp from './sharp.ts';

interface Size {
  width: number;
  height: number;
}

/**
 * Stretches width * height * 3 bytes to another size: Lanczos where it shrinks, cubic where it grows. The same size
 * comes back as it is, not copied.
 */
export async function resizeRgb(rgb: Uint8Array, from: Size, to: Size): Promise<Uint8Array> {
  if (from.width === to.width && from.height === to.height) return rgb;
  return sharp(rgb, { raw: { width: from.width, height: from.height, channels: 3 } })
    .resize(to.width, to.height, { fit: 'fill', kernel: 'lanczos3' })
    .raw()
    .toBuffer();
}

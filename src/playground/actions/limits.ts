import type { Limits } from '../state/types.ts';

const mega = (count: number) => (count / 1e6).toFixed(count < 1e7 ? 1 : 0);

/**
 * Why the service would refuse a picture of this size; undefined if it would not. `subject`: the beginning of the sentence.
 */
export function checkLimits(
  { width, height, bytes = 0 }: { width: number; height: number; bytes?: number },
  { max_pixels, max_side, max_upload_bytes }: Limits,
  subject = 'This picture has',
): string | undefined {
  if (width * height > max_pixels)
    return `${subject} ${mega(width * height)} megapixels. The service accepts up to ${mega(max_pixels)}.`;
  if (Math.max(width, height) > max_side)
    return `${subject} a side of ${Math.max(width, height)} px. The service accepts up to ${max_side} px.`;
  if (bytes > 0.95 * max_upload_bytes)
    return `${subject} a file of ${mega(bytes)} MB. The service accepts up to ${mega(0.95 * max_upload_bytes)} MB.`;
  return undefined;
}

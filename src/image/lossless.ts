import type { InputFormat } from './format.ts';

/** Whether a file keeps the pixels that it was made from: PNG and GIF do, and TIFF and WebP if they are compressed so. */
export function isLossless(file: Buffer, format: InputFormat): boolean {
  if (format === 'png' || format === 'gif') return true;
  if (format === 'tiff') return !LOSSY_TIFF.has(tiffCompression(file) ?? 0);
  return format === 'webp' && webpPixels(file) === 'VP8L';
}

/** Chunks of a WebP before its pixels, and entries of a TIFF's directory, that are looked at: a file may have millions. */
const MAX_LOOKED_AT = 64;

/** The type of the chunk that contains a WebP's pixels, of the first frame if it is animated: VP8 (lossy) or VP8L. */
function webpPixels(file: Buffer): string | undefined {
  for (let at = 12, chunk = 0; chunk < MAX_LOOKED_AT && at + 8 <= file.length; chunk++) {
    const type = file.toString('latin1', at, at + 4);
    if (type === 'ANMF') return file.toString('latin1', at + 24, at + 28).trim();
    if (type.startsWith('VP8') && type !== 'VP8X') return type.trim();
    const size = file.readUInt32LE(at + 4);
    at += 8 + size + (size % 2); // chunks are padded to an even size; a bit mask would make sizes from 2^31 on negative
  }
  return undefined;
}

const COMPRESSION_TAG = 259;
/** Compressions of TIFF that lose information: both kinds of JPEG, LERC, JPEG 2000, WebP and JPEG XL. */
const LOSSY_TIFF = new Set([6, 7, 34887, 34712, 50001, 50002]);

/** The compression of a TIFF's first page, also of a BigTIFF, whose numbers are twice as long. */
function tiffCompression(file: Buffer): number | undefined {
  const little = file[0] === 0x49;
  const uint = (at: number, bytes: 2 | 4) =>
    little ? file.readUIntLE(at, bytes) : file.readUIntBE(at, bytes);
  const big = uint(2, 2) === 43;
  const uint64 = (at: number) => Number(little ? file.readBigUInt64LE(at) : file.readBigUInt64BE(at));
  try {
    const directory = big ? uint64(8) : uint(4, 4);
    const count = Math.min(big ? uint64(directory) : uint(directory, 2), MAX_LOOKED_AT);
    const [first, size, valueAt] = big ? [directory + 8, 20, 12] : [directory + 2, 12, 8];
    for (let entry = first; entry < first + count * size; entry += size) {
      if (uint(entry, 2) === COMPRESSION_TAG) return uint(entry + valueAt, 2);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // an offset outside of the file
  }
  return undefined;
}

import type { Metadata } from 'sharp';

export type InputFormat = 'png' | 'jpeg' | 'webp' | 'avif' | 'tiff' | 'gif';

const SIGNATURES: readonly [InputFormat, string][] = [
  ['png', '\x89PNG\r\n\x1a\n'],
  ['jpeg', '\xff\xd8\xff'],
  ['gif', 'GIF87a'],
  ['gif', 'GIF89a'],
  ['tiff', 'II*\0'],
  ['tiff', 'MM\0*'],
  ['tiff', 'II+\0'], // BigTIFF
  ['tiff', 'MM\0+'],
];

/**
 * Detects a supported format by its signature in the first bytes; undefined for any other content.
 *
 * Must run before libvips reads an upload: depending on its build, libvips also parses SVG and other formats, and
 * those parsers must not be exposed to untrusted input.
 */
export function sniffFormat(bytes: Buffer): InputFormat | undefined {
  const head = bytes.toString('latin1', 0, 12);
  if (head.startsWith('RIFF') && head.endsWith('WEBP')) return 'webp';
  if (head.slice(4, 8) === 'ftyp' && hasAvifBrand(bytes)) return 'avif';
  return SIGNATURES.find(([, signature]) => head.startsWith(signature))?.[0];
}

/** AVIF and HEIC use the same container format; the brands in its first box (ftyp) distinguish them. */
function hasAvifBrand(bytes: Buffer): boolean {
  const end = Math.min(bytes.readUInt32BE(0), bytes.length, 256);
  for (let at = 8; at + 4 <= end; at += 4) {
    const brand = bytes.toString('latin1', at, at + 4);
    if (brand === 'avif' || brand === 'avis') return true;
  }
  return false;
}

const LOSSY_TIFF = new Set<string>(['jpeg', 'webp', 'jp2k']);

/** Whether a file keeps the pixels that it was made from: PNG and GIF do, and TIFF and WebP if they are compressed so. */
export function isLossless(file: Buffer, format: InputFormat, { compression }: Metadata): boolean {
  if (format === 'png' || format === 'gif') return true;
  if (format === 'tiff') return !LOSSY_TIFF.has(compression ?? '');
  return format === 'webp' && webpPixels(file) === 'VP8L';
}

/** The type of the chunk that contains a WebP's pixels: VP8 (lossy) or VP8L. */
function webpPixels(file: Buffer): string | undefined {
  for (let at = 12; at + 8 <= file.length; at += 8 + ((file.readUInt32LE(at + 4) + 1) & ~1)) {
    const type = file.toString('latin1', at, at + 4);
    if (type === 'ANMF') return file.toString('latin1', at + 24, at + 28).trim();
    if (type.startsWith('VP8') && type !== 'VP8X') return type.trim();
  }
  return undefined;
}

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
 * Which of the formats we read the bytes claim to be, by their first bytes; undefined for anything else.
 *
 * Asked before libvips sees a byte: it would also parse SVG, and whatever else a build of it was given, and none
 * of those parsers should ever meet an upload.
 */
export function sniffFormat(bytes: Buffer): InputFormat | undefined {
  const head = bytes.toString('latin1', 0, 12);
  if (head.startsWith('RIFF') && head.endsWith('WEBP')) return 'webp';
  if (head.slice(4, 8) === 'ftyp' && hasAvifBrand(bytes)) return 'avif';
  return SIGNATURES.find(([, signature]) => head.startsWith(signature))?.[0];
}

/** AVIF and HEIC share their container; the brands in its first box tell them apart. */
function hasAvifBrand(bytes: Buffer): boolean {
  const end = Math.min(bytes.readUInt32BE(0), bytes.length, 256);
  for (let at = 8; at + 4 <= end; at += 4) {
    const brand = bytes.toString('latin1', at, at + 4);
    if (brand === 'avif' || brand === 'avis') return true;
  }
  return false;
}

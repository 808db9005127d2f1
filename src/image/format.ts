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

/** Whether an AVIF file is an image sequence, an animation. */
export const isSequence = (bytes: Buffer) => brandsOf(bytes).includes('avis');

/** AVIF and HEIC use the same container format; the brands in its first box (ftyp) distinguish them. */
const hasAvifBrand = (bytes: Buffer) => brandsOf(bytes).some((brand) => brand === 'avif' || brand === 'avis');

function brandsOf(bytes: Buffer): string[] {
  const end = Math.min(bytes.readUInt32BE(0), bytes.length, 256);
  const brands: string[] = [];
  for (let at = 8; at + 4 <= end; at += 4) brands.push(bytes.toString('latin1', at, at + 4));
  return brands;
}

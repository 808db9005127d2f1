import { readDensity, toJfif, toPhys } from './density.ts';
import { cleanExif } from './exif.ts';
import type { InputFormat } from './format.ts';
import type { PictureHeader } from './header.ts';
import type { Carried, OutputFormat, Size } from './picture.ts';
import { headChunks, type PngChunk, withChunks } from './png.ts';

/** Chunks about colour and their lengths in bytes (PNG, third edition, 11.3.2). The profile, iCCP, is handled by sharp. */
const COLOUR_CHUNKS: Record<string, number> = { gAMA: 4, cHRM: 32, sRGB: 1, cICP: 4, mDCV: 24, cLLI: 8 };

/** @param size of the decoded picture */
export function readCarried(file: Buffer, format: InputFormat, header: PictureHeader, size: Size): Carried {
  const colour = new Map<string, PngChunk>();
  if (format === 'png') {
    for (const chunk of headChunks(file, Object.keys(COLOUR_CHUNKS))) {
      if (chunk.data.length === COLOUR_CHUNKS[chunk.type] && !colour.has(chunk.type)) {
        colour.set(chunk.type, { ...chunk, data: Uint8Array.from(chunk.data) });
      }
    }
    if (header.icc) colour.delete('sRGB'); // a file must not have both
  }
  return {
    density: readDensity(file, format, header),
    colour: [...colour.values()],
    exif: header.exif && cleanExif(header.exif, size),
  };
}

/**
 * Writes density and colour chunks into an encoded file, and EXIF if asked. Density of its own, which the encoder
 * invents, is removed. WebP has no density other than in EXIF.
 */
export function attachCarried(
  file: Buffer,
  format: OutputFormat,
  carried: Carried | undefined,
  withExif: boolean,
): Buffer {
  const { density, colour = [], exif } = carried ?? {};
  const kept = withExif ? exif : undefined;
  switch (format) {
    case 'png': {
      const chunks = [...colour];
      const phys = density && toPhys(density);
      if (phys) chunks.push(phys);
      if (kept) chunks.push({ type: 'eXIf', data: kept });
      return withChunks(file, chunks, ['pHYs']);
    }
    case 'jpeg': {
      const jfif = density && toJfif(density);
      const head = [file.subarray(0, 2), ...(jfif ? [jfif] : []), ...(kept ? [exifSegment(kept)] : [])];
      return Buffer.concat([...head, file.subarray(2)]);
    }
    case 'webp':
      return kept ? withWebpExif(file, kept) : file;
  }
}

/** An APP1 segment. */
function exifSegment(exif: Uint8Array): Buffer {
  const head = Buffer.from([0xff, 0xe1, 0, 0, ...Buffer.from('Exif\0\0')]);
  head.writeUInt16BE(exif.length + head.length - 2, 2);
  return Buffer.concat([head, exif]);
}

/** Bit of the flags in a VP8X chunk that announces EXIF. */
const EXIF_FLAG = 0x08;

/** Adds an EXIF chunk to an extended WebP, which a file with an XMP packet is. */
function withWebpExif(file: Buffer, exif: Uint8Array): Buffer {
  if (file.toString('latin1', 12, 16) !== 'VP8X') throw new Error('not an extended WebP');
  const head = Buffer.from('EXIF\0\0\0\0', 'latin1');
  head.writeUInt32LE(exif.length, 4);
  const result = Buffer.concat([file, head, exif, Buffer.alloc(exif.length % 2)]);
  result.writeUInt32LE(result.length - 8, 4);
  result[20] |= EXIF_FLAG;
  return result;
}

import { Rewritten } from './rewritten.ts';

export interface PngChunk {
  /** Four letters, such as gAMA. */
  type: string;
  data: Uint8Array;
}

const SIGNATURE_BYTES = 8;
/** Length, type and checksum of a chunk. */
const CHUNK_BYTES = 12;

/** The chunks of the given types before the pixels of a PNG, without those whose checksum is wrong. */
export function headChunks(png: Buffer, types: string[]): PngChunk[] {
  const chunks: PngChunk[] = [];
  let at = SIGNATURE_BYTES;
  while (at + CHUNK_BYTES <= png.length) {
    const end = at + CHUNK_BYTES + png.readUInt32BE(at);
    const type = png.toString('latin1', at + 4, at + 8);
    if (type === 'IDAT' || end > png.length) break;
    if (types.includes(type) && crc32(png.subarray(at + 4, end - 4)) === png.readUInt32BE(end - 4)) {
      chunks.push({ type, data: png.subarray(at + 8, end - 4) });
    }
    at = end;
  }
  return chunks;
}

/**
 * The PNG without chunks of the given types, anywhere in the file. Where a chunk does not end within the file, or after the
 * last one, nothing is dropped: no decoder gets any further.
 */
export function withoutChunks(png: Buffer, drop: (type: string, data: Buffer) => boolean): Buffer {
  const rest = new Rewritten(png);
  rest.keep(0, SIGNATURE_BYTES);
  let at = SIGNATURE_BYTES;
  for (let type = ''; type !== 'IEND' && at + CHUNK_BYTES <= png.length; ) {
    const end = at + CHUNK_BYTES + png.readUInt32BE(at);
    if (end > png.length) break;
    type = png.toString('latin1', at + 4, at + 8);
    if (!drop(type, png.subarray(at + 8, end - 4))) rest.keep(at, end);
    at = end;
  }
  rest.keep(at, png.length);
  return rest.result();
}

/** The PNG with these chunks after its header, and without other chunks of the types in `replacing`. */
export function withChunks(png: Buffer, chunks: PngChunk[], replacing: string[]): Buffer {
  const pieces: Buffer[] = [];
  let kept = 0;
  let at = SIGNATURE_BYTES;
  for (let type = ''; type !== 'IDAT'; ) {
    const end = at + CHUNK_BYTES + png.readUInt32BE(at);
    type = png.toString('latin1', at + 4, at + 8);
    if (type === 'IHDR') {
      pieces.push(png.subarray(kept, end), ...chunks.map(encodeChunk));
      kept = end;
    } else if (replacing.includes(type)) {
      pieces.push(png.subarray(kept, at));
      kept = end;
    }
    at = end;
  }
  return Buffer.concat([...pieces, png.subarray(kept)]);
}

function encodeChunk({ type, data }: PngChunk): Buffer {
  const chunk = Buffer.alloc(CHUNK_BYTES + data.length);
  chunk.writeUInt32BE(data.length);
  chunk.write(type, 4, 'latin1');
  chunk.set(data, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}

/** The checksum of a chunk's type and data (PNG, annex D). zlib has one only from Node.js 20.15 on. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

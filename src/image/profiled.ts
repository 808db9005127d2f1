import sharp from './sharp.ts';

const SHORT = 3;
const LONG = 4;
const UNDEFINED = 7;

/** Pixels with as many channels as they have in a file. */
export interface Samples {
  width: number;
  height: number;
  /** 1: grey, 3: red, green, blue; 2 and 4: the same with alpha (not premultiplied). */
  channels: 1 | 2 | 3 | 4;
  /** width * height * channels numbers, of 8 or 16 bits. */
  data: Uint8Array | Uint16Array;
}

/**
 * Writes pixels as an uncompressed TIFF 6.0 file with an ICC profile. This is the only way to pass pixels and their
 * profile to sharp: raw input has no profile, and withIccProfile() converts the pixels, which must not change.
 */
export function asProfiledTiff({ width, height, channels, data }: Samples, icc: Uint8Array): Buffer {
  const bits = data.BYTES_PER_ELEMENT * 8;
  const hasAlpha = channels % 2 === 0;
  // Tag, type, count, value or offset. TIFF 6.0 requires ascending tags.
  const entryCount = hasAlpha ? 12 : 11;
  const bitsAt = 8 + 2 + entryCount * 12 + 4;
  const iccAt = bitsAt + 2 * channels;
  const pixelsAt = iccAt + icc.length + (icc.length % 2);
  // One or two numbers fit into the entry itself.
  const bitsValue = channels === 1 ? bits : channels === 2 ? bits * 0x10001 : bitsAt;
  const entries: [tag: number, type: number, count: number, value: number][] = [
    [256, LONG, 1, width],
    [257, LONG, 1, height],
    [258, SHORT, channels, bitsValue], // bits per sample
    [259, SHORT, 1, 1], // no compression
    [262, SHORT, 1, channels < 3 ? 1 : 2], // grey from black to white, or RGB
    [273, LONG, 1, pixelsAt],
    [277, SHORT, 1, channels],
    [278, LONG, 1, height], // one strip
    [279, LONG, 1, data.byteLength],
    [284, SHORT, 1, 1], // interleaved
  ];
  if (hasAlpha) entries.push([338, SHORT, 1, 2]); // alpha, not premultiplied
  entries.push([34675, UNDEFINED, icc.length, iccAt]);

  const tiff = Buffer.alloc(pixelsAt + data.byteLength);
  tiff.write('II*\0', 'latin1');
  tiff.writeUInt32LE(8, 4);
  tiff.writeUInt16LE(entryCount, 8);
  entries.forEach(([tag, type, count, value], i) => {
    const at = 10 + i * 12;
    tiff.writeUInt16LE(tag, at);
    tiff.writeUInt16LE(type, at + 2);
    tiff.writeUInt32LE(count, at + 4);
    tiff.writeUInt32LE(value, at + 8); // little-endian, so a SHORT is in the first two bytes
  });
  for (let c = 0; c < channels; c++) tiff.writeUInt16LE(bits, bitsAt + 2 * c);
  tiff.set(icc, iccAt);
  tiff.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), pixelsAt); // little-endian too
  return tiff;
}

/** Whether a profile can be embedded in every output format. Checked with libpng, whose validation is the strictest. */
export async function isSound(icc: Uint8Array, grey: boolean): Promise<boolean> {
  const channels = grey ? 1 : 3;
  const dot: Samples = { width: 1, height: 1, channels, data: new Uint8Array(channels) };
  const file = sharp(asProfiledTiff(dot, icc)).keepIccProfile();
  return (grey ? file.toColourspace('b-w') : file)
    .png()
    .toBuffer()
    .then(
      () => true,
      () => false,
    );
}

import type { Picture } from './picture.ts';
import sharp from './sharp.ts';

const SHORT = 3;
const LONG = 4;
const UNDEFINED = 7;

/**
 * Writes the picture as an uncompressed TIFF 6.0 file with an ICC profile. This is the only way to pass pixels and their
 * profile to sharp: raw input has no profile, and withIccProfile() converts the pixels, which must not change.
 */
export function asProfiledTiff(picture: Picture, icc: Buffer): Buffer {
  const { width, height, channels, data } = picture;
  // Tag, type, count, value or offset. TIFF 6.0 requires ascending tags.
  const entryCount = channels === 4 ? 12 : 11;
  const bitsAt = 8 + 2 + entryCount * 12 + 4;
  const iccAt = bitsAt + 2 * channels;
  const pixelsAt = iccAt + icc.length;
  const entries: [tag: number, type: number, count: number, value: number][] = [
    [256, LONG, 1, width],
    [257, LONG, 1, height],
    [258, SHORT, channels, bitsAt], // bits per sample
    [259, SHORT, 1, 1], // no compression
    [262, SHORT, 1, 2], // RGB
    [273, LONG, 1, pixelsAt],
    [277, SHORT, 1, channels],
    [278, LONG, 1, height], // one strip
    [279, LONG, 1, data.length],
    [284, SHORT, 1, 1], // interleaved
  ];
  if (channels === 4) entries.push([338, SHORT, 1, 2]); // alpha, not premultiplied
  entries.push([34675, UNDEFINED, icc.length, iccAt]);

  const tiff = Buffer.alloc(pixelsAt + data.length);
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
  for (let c = 0; c < channels; c++) tiff.writeUInt16LE(8, bitsAt + 2 * c);
  tiff.set(icc, iccAt);
  tiff.set(data, pixelsAt);
  return tiff;
}

/** Whether a profile can be embedded in every output format. Checked with libpng, whose validation is the strictest. */
export async function isSound(icc: Buffer): Promise<boolean> {
  const dot: Picture = { width: 1, height: 1, channels: 3, data: new Uint8Array(3) };
  const file = sharp(asProfiledTiff(dot, icc)).keepIccProfile().png().toBuffer();
  return file.then(
    () => true,
    () => false,
  );
}

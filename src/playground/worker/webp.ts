/** Where the first chunk is. It is VP8X if the file can have EXIF. */
const FIRST_CHUNK = 12;
const EXIF = 0x45584946;
/** Of EXIF 2.32 and TIFF 6.0. */
const ORIENTATION = 0x0112;
const SHORT = 3;
const ENTRY_BYTES = 12;

/**
 * A WebP with orientation 1 in its EXIF, if it has one. Browsers show a WebP as it is stored, whatever its orientation, but
 * the service turns it: what was painted would be filled in another place. Any other file, and a malformed one, is
 * returned as it is.
 */
export async function withoutOrientation(file: Blob): Promise<Blob> {
  const head = await file.slice(0, FIRST_CHUNK + 4).text();
  if (!head.startsWith('RIFF') || !head.endsWith('WEBPVP8X')) return file;
  const bytes = new DataView(await file.arrayBuffer());
  try {
    const exif = findExif(bytes);
    return exif && reset(exif) ? new Blob([bytes], { type: file.type }) : file;
  } catch (error) {
    if (error instanceof RangeError) return file; // an offset lies outside of the file
    throw error;
  }
}

/** The TIFF structure in the first EXIF chunk, which is the one that the service reads. */
function findExif(webp: DataView): DataView | undefined {
  for (let at = FIRST_CHUNK; at + 8 <= webp.byteLength; ) {
    const size = webp.getUint32(at + 4, true);
    if (webp.getUint32(at) === EXIF) {
      const prefix = text(webp, at + 8, 6) === 'Exif\0\0' ? 6 : 0; // as in a JPEG; some programs write it
      return new DataView(webp.buffer, at + 8 + prefix, size - prefix);
    }
    at += 8 + size + (size & 1); // chunks begin at even offsets
  }
  return undefined;
}

/** Sets the orientation to 1. False if there is none. */
function reset(tiff: DataView): boolean {
  const order = text(tiff, 0, 4);
  if (order !== 'II*\0' && order !== 'MM\0*') return false;
  const little = order.startsWith('II');
  const directory = tiff.getUint32(4, little);
  const entries = tiff.getUint16(directory, little);
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + i * ENTRY_BYTES;
    if (tiff.getUint16(entry, little) !== ORIENTATION) continue;
    tiff.setUint16(entry + 2, SHORT, little);
    tiff.setUint32(entry + 4, 1, little); // values
    tiff.setUint32(entry + 8, 0);
    tiff.setUint16(entry + 8, 1, little);
    return true;
  }
  return false;
}

function text(bytes: DataView, at: number, length: number): string {
  return String.fromCharCode(...Array.from({ length }, (_, i) => bytes.getUint8(at + i)));
}

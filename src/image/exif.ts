import type { Size } from './picture.ts';

/** Tags of EXIF 2.32 and TIFF 6.0 that need a change when the pixels change. */
const WIDTH = [0x0100, 0xa002];
const HEIGHT = [0x0101, 0xa003];
const ORIENTATION = 0x0112;
const X_RESOLUTION = 0x011a;
const Y_RESOLUTION = 0x011b;
const EXIF_IFD = 0x8769;
const MAKER_NOTE = 0x927c;
/** Where a thumbnail lies, and how long it is, in bytes: compressed, or in strips. */
const THUMBNAIL = [
  [0x0201, 0x0202],
  [0x0111, 0x0117],
] as const;

/** Bytes of a value by its type, 1 to 12. */
const TYPE_BYTES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8];
const SHORT = 3;
const LONG = 4;
const RATIONAL = 5;
const RATIONAL_BYTES = TYPE_BYTES[RATIONAL];
const ENTRY_BYTES = 12;
const HEADER = 'Exif\0\0';

/** The largest block that a JPEG segment can hold. */
const MAX_BYTES = 0xffff - 2 - HEADER.length;

/** Whether applying an EXIF orientation, 1 to 8, exchanges rows and columns. */
export const swapsAxes = (orientation = 1): boolean => orientation > 4;

/**
 * A copy of an EXIF block (a TIFF structure, with or without its header) that fits a changed picture: orientation 1, the
 * given size, the resolutions of its new axes, and without the thumbnail and the maker note, which can contain the picture
 * as it was before. undefined if the block is larger than 64 kB or cannot be read.
 */
export function cleanExif(block: Uint8Array, size: Size): Buffer | undefined {
  const given = Buffer.from(block);
  const tiff = given.toString('latin1', 0, 6) === HEADER ? given.subarray(6) : given;
  if (tiff.length > MAX_BYTES) return undefined;
  try {
    new Editor(tiff, size).run();
    return tiff;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

interface Entry {
  tag: number;
  type: number;
  count: number;
  /** Offset of the value. */
  at: number;
  bytes: number;
}

/** Changes a TIFF structure in place. Throws RangeError where an offset lies outside of it. */
class Editor {
  readonly #tiff: Buffer;
  readonly #size: Size;
  readonly #little: boolean;

  constructor(tiff: Buffer, size: Size) {
    const order = tiff.toString('latin1', 0, 2);
    if (order !== 'II' && order !== 'MM') throw new RangeError('no byte order');
    this.#tiff = tiff;
    this.#size = size;
    this.#little = order === 'II';
  }

  run() {
    const first = this.#uint32(4);
    const { entries, next } = this.#directory(first);
    this.#swapResolutions(entries);
    this.#update(entries);
    const sub = entries.find(({ tag }) => tag === EXIF_IFD);
    if (sub) this.#update(this.#directory(this.#uint32(sub.at)).entries);
    const thumbnails = this.#uint32(next);
    if (thumbnails === 0) return;
    this.#eraseThumbnail(this.#directory(thumbnails).entries);
    this.#write(next, 4, 0);
  }

  /** If the picture's axes are swapped. Call it before the orientation is changed. */
  #swapResolutions(entries: Entry[]) {
    const value = (wanted: number, expected: number) =>
      entries.find(({ tag, type, count }) => tag === wanted && type === expected && count === 1);
    const orientation = value(ORIENTATION, SHORT);
    const [x, y] = [value(X_RESOLUTION, RATIONAL), value(Y_RESOLUTION, RATIONAL)];
    if (!orientation || !swapsAxes(this.#uint16(orientation.at)) || !x || !y) return;
    const first = Buffer.from(this.#tiff.subarray(x.at, x.at + RATIONAL_BYTES));
    this.#tiff.copy(this.#tiff, x.at, y.at, y.at + RATIONAL_BYTES);
    first.copy(this.#tiff, y.at);
  }

  #update(entries: Entry[]) {
    const { width, height } = this.#size;
    for (const entry of entries) {
      const { tag, type, count, at, bytes } = entry;
      const value =
        tag === ORIENTATION ? 1 : WIDTH.includes(tag) ? width : HEIGHT.includes(tag) ? height : undefined;
      if (value !== undefined && count === 1 && (type === SHORT || type === LONG))
        this.#write(at, type === SHORT ? 2 : 4, value);
      if (tag === MAKER_NOTE) this.#erase(at, bytes);
    }
  }

  #eraseThumbnail(entries: Entry[]) {
    const numbers = (tag: number) => {
      const entry = entries.find((each) => each.tag === tag);
      if (entry?.type !== SHORT && entry?.type !== LONG) return [];
      const { at, count, type } = entry;
      return Array.from({ length: count }, (_, i) =>
        type === SHORT ? this.#uint16(at + i * 2) : this.#uint32(at + i * 4),
      );
    };
    for (const [starts, lengths] of THUMBNAIL) {
      const sizes = numbers(lengths);
      for (const [i, start] of numbers(starts).entries()) this.#erase(start, sizes[i] ?? 0);
    }
  }

  /** The entries of the directory at an offset, and where the offset of the next one is. */
  #directory(offset: number): { entries: Entry[]; next: number } {
    const count = this.#uint16(offset);
    const entries = Array.from({ length: count }, (_, i): Entry => {
      const start = offset + 2 + i * ENTRY_BYTES;
      const [tag, type, count] = [this.#uint16(start), this.#uint16(start + 2), this.#uint32(start + 4)];
      const bytes = (TYPE_BYTES[type] ?? 0) * count;
      const at = bytes > 4 ? this.#uint32(start + 8) : start + 8;
      if (at + bytes > this.#tiff.length) throw new RangeError('a value lies outside of the block');
      return { tag, type, count, at, bytes };
    });
    return { entries, next: offset + 2 + count * ENTRY_BYTES };
  }

  #uint16(at: number): number {
    return this.#little ? this.#tiff.readUInt16LE(at) : this.#tiff.readUInt16BE(at);
  }

  #uint32(at: number): number {
    return this.#little ? this.#tiff.readUInt32LE(at) : this.#tiff.readUInt32BE(at);
  }

  #write(at: number, bytes: 2 | 4, value: number) {
    if (this.#little) this.#tiff.writeUIntLE(value, at, bytes);
    else this.#tiff.writeUIntBE(value, at, bytes);
  }

  #erase(at: number, bytes: number) {
    if (at + bytes > this.#tiff.length) throw new RangeError('a value lies outside of the block');
    this.#tiff.fill(0, at, at + bytes);
  }
}

import { crc32 } from 'node:zlib';
import { maskOf, rgb } from '../helpers/app.ts';
import type { Dice } from './dice.ts';

/** Small pictures in every supported format and some unsupported ones, and masks. Nearly all have the same size. */
export interface Corpus {
  pictures: Buffer[];
  masks: Buffer[];
  /** A valid picture with a valid mask. */
  good: { image: Buffer; mask: Buffer };
}

const SIDE = 24;

export async function drawCorpus(): Promise<Corpus> {
  const opaque = () => rgb(SIDE, SIDE);
  const clear = () => rgb(SIDE, SIDE, 4);
  const frames = rgb(SIDE, SIDE * 2).gif(); // twice as high as the others
  const pictures = await Promise.all([
    opaque().png().toBuffer(),
    clear().png().toBuffer(),
    opaque().png({ palette: true }).toBuffer(),
    opaque().png({ progressive: true }).withMetadata({ orientation: 6 }).toBuffer(),
    opaque().toColourspace('rgb16').png().toBuffer(),
    opaque().toColourspace('b-w').png().toBuffer(),
    opaque().jpeg().toBuffer(),
    opaque().jpeg({ progressive: true }).withMetadata({ orientation: 3 }).toBuffer(),
    opaque().toColourspace('cmyk').jpeg().toBuffer(),
    opaque().withIccProfile('p3').jpeg().toBuffer(),
    opaque().webp().toBuffer(),
    clear().webp({ lossless: true }).toBuffer(),
    opaque().gif().toBuffer(),
    frames.toBuffer(),
    opaque().tiff().toBuffer(),
    clear().tiff({ compression: 'deflate', tile: true }).toBuffer(),
    opaque().tiff({ compression: 'jpeg' }).toBuffer(),
    opaque().avif({ effort: 0 }).toBuffer(),
    Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="${SIDE}" height="${SIDE}"/>`),
    Buffer.from('BM\x46\0\0\0\0\0\0\0\x36\0\0\0'),
    Buffer.from('%PDF-1.7\n'),
    Buffer.alloc(0),
  ]);
  const mask = await maskOf(SIDE, SIDE);
  const masks = [
    mask,
    await maskOf(SIDE, SIDE, 0),
    await maskOf(SIDE, SIDE, 1),
    await maskOf(SIDE + 1, SIDE),
  ];
  return { pictures, masks, good: { image: pictures[0], mask } };
}

/** Number of bytes at the start of a file in which most damage is done. */
const HEADER = 96;

/** A copy of the file with one to three kinds of damage. Some of them may have no effect. */
export function damaged(file: Buffer, others: readonly Buffer[], dice: Dice): Buffer {
  let bytes: Buffer = Buffer.from(file);
  for (let times = 1 + dice.int(3); times > 0 && bytes.length > 0; times--) {
    bytes = dice.of(DAMAGES)(bytes, dice, others);
  }
  return bytes;
}

type Damage = (bytes: Buffer, dice: Dice, others: readonly Buffer[]) => Buffer;

const somewhere = (bytes: Buffer, dice: Dice) =>
  dice.int(dice.chance(0.6) ? Math.min(HEADER, bytes.length) : bytes.length);

const DAMAGES: Damage[] = [
  (bytes) => bytes,
  function truncate(bytes, dice) {
    return bytes.subarray(0, somewhere(bytes, dice));
  },
  function flipBits(bytes, dice) {
    for (let n = 1 + dice.int(8); n > 0; n--) bytes[somewhere(bytes, dice)] ^= 1 << dice.int(8);
    return bytes;
  },
  function overwrite(bytes, dice) {
    const at = somewhere(bytes, dice);
    const end = Math.min(at + 1 + dice.int(16), bytes.length);
    return bytes.fill(dice.of([0, 0xff, 0x7f, 0x80]), at, end);
  },
  function insert(bytes, dice) {
    const at = somewhere(bytes, dice);
    return Buffer.concat([bytes.subarray(0, at), dice.bytes(1 + dice.int(32)), bytes.subarray(at)]);
  },
  function cutOut(bytes, dice) {
    const at = somewhere(bytes, dice);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + dice.int(16))]);
  },
  function graft(bytes, dice, others) {
    const other = dice.of(others);
    return Buffer.concat([
      bytes.subarray(0, somewhere(bytes, dice)),
      other.subarray(dice.int(other.length + 1)),
    ]);
  },
  function number(bytes, dice) {
    const at = somewhere(bytes, dice) & ~3; // lengths and offsets are often aligned
    if (at + 4 > bytes.length) return bytes;
    if (dice.chance(0.5)) bytes.writeUInt32LE(dice.of(NUMBERS), at);
    else bytes.writeUInt32BE(dice.of(NUMBERS), at);
    return bytes;
  },
  resized,
];

/** Lengths and offsets that overflow, or that do not move a parser forward. */
const NUMBERS = [0, 1, 8, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 16, 2 ** 32 - 9, 2 ** 32 - 8, 2 ** 32 - 1];

const SIDES = [0, 1, 2, 4999, 5001, 16_384, 65_535, 100_000, 2 ** 31 - 1, 2 ** 32 - 1];

/** Writes another picture size into the header of the format. The checksum of a PNG is updated. */
function resized(bytes: Buffer, dice: Dice): Buffer {
  const [width, height] = [dice.of(SIDES), dice.of(SIDES)];
  const put16 = (at: number, little = false) => {
    if (at + 4 > bytes.length) return;
    for (const [i, side] of [width, height].entries()) {
      if (little) bytes.writeUInt16LE(side & 0xffff, at + 2 * i);
      else bytes.writeUInt16BE(side & 0xffff, at + 2 * i);
    }
  };
  if (bytes.length >= 33 && bytes.toString('latin1', 1, 4) === 'PNG') {
    bytes.writeUInt32BE(width, 16);
    bytes.writeUInt32BE(height, 20);
    bytes.writeUInt32BE(crc32(bytes.subarray(12, 29)), 29);
  } else if (bytes[0] === 0xff) {
    const frame = [0xc0, 0xc1, 0xc2]
      .map((marker) => bytes.indexOf(Buffer.from([0xff, marker])))
      .find((at) => at > 0);
    if (frame) put16(frame + 5);
  } else if (bytes.toString('latin1', 0, 3) === 'GIF') put16(6, true);
  else if (bytes.toString('latin1', 8, 12) === 'WEBP') put16(26, true);
  else {
    const box = bytes.indexOf('ispe'); // AVIF
    if (box > 0 && box + 16 <= bytes.length) {
      bytes.writeUInt32BE(width, box + 8);
      bytes.writeUInt32BE(height, box + 12);
    }
  }
  return bytes;
}

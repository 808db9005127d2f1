import { Rewritten } from './rewritten.ts';

/** Codes of JPEG markers (ITU-T T.81, table B.1): the byte after 0xff. */
const SOI = 0xd8;
const EOI = 0xd9;
const SOS = 0xda;
const END_MARKER = Buffer.from([0xff, EOI]);
const APP0 = 0xe0;
const APP14 = 0xee;
const isRestart = (code: number) => code >= 0xd0 && code <= 0xd7;
const hasNoLength = (code: number) => code === 0x01 || code === SOI || isRestart(code);
/** Start of a frame: C4, C8 and CC are other segments of the same group. */
const isFrame = (code: number) => code >= 0xc0 && code <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(code);

/** The end of a sequential scan's header: coefficients 0 to 63, in full precision. */
const WHOLE_SPECTRUM = Buffer.from([0, 63, 0]);
/** Byte of an Adobe segment, and how decoders transform three and four components if its value is unknown. */
const ADOBE_TRANSFORM = 15;
const YCBCR = 1;
const YCCK = 2;

/**
 * Corrects faults around the compressed data of a JPEG that every viewer ignores, so that whatever the decoder still
 * reports is damage to the pixels:
 *
 * - bytes between segments are dropped
 * - a missing end marker is appended
 * - header fields that decoders check but do not need get the value that they assume, see corrected()
 *
 * A file without these faults, or with segments that cannot be followed, is returned as it is.
 */
export function repairJpeg(file: Buffer): Buffer {
  const repaired = new Rewritten(file, END_MARKER.length);
  let sequential: boolean | undefined;
  let adobe: Buffer | undefined;
  let at = 2;
  repaired.keep(0, at);
  for (;;) {
    const found = nextMarker(file, at);
    if (!found) {
      repaired.put(END_MARKER);
      return repaired.result();
    }
    const { code, end: contents, stray } = found;
    const start = contents - 2;
    const kept = stray ? start : at; // fill bytes before a marker are allowed
    if (code === EOI) {
      repaired.keep(kept, file.length);
      return repaired.result();
    }
    const length = hasNoLength(code) ? 0 : lengthAt(file, contents);
    at = contents + length;
    if (at > file.length) return file;
    const segment = file.subarray(start, at);
    if (isFrame(code)) {
      sequential ??= [0xc0, 0xc1, 0xc9].includes(code);
      if (adobe && segment[9] === 4) adobe[ADOBE_TRANSFORM] = YCCK;
    }
    const right = corrected(code, segment, sequential);
    if (right === segment) repaired.keep(kept, at);
    else {
      const written = repaired.put(right);
      if (code === APP14) adobe = written;
    }
    if (code === SOS) {
      const scan = at;
      at = endOfScan(file, scan);
      repaired.keep(scan, at);
    }
  }
}

/**
 * The segment, or a copy with valid fields: the version of JFIF, the scan header's selection of coefficients, and the
 * colour transform of Adobe for three components.
 */
function corrected(code: number, segment: Buffer, sequential: boolean | undefined): Buffer {
  if (code === APP0 && segment.toString('latin1', 4, 9) === 'JFIF\0' && segment[9] !== 1) {
    return replaced(segment, 9, [1]); // the major version; there is no other
  }
  if (code === APP14 && segment.toString('latin1', 4, 9) === 'Adobe' && segment[ADOBE_TRANSFORM] > YCCK) {
    return replaced(segment, ADOBE_TRANSFORM, [YCBCR]);
  }
  if (code === SOS && sequential && !segment.subarray(-3).equals(WHOLE_SPECTRUM)) {
    return replaced(segment, segment.length - 3, [...WHOLE_SPECTRUM]);
  }
  return segment;
}

function replaced(segment: Buffer, at: number, values: number[]): Buffer {
  const copy = Buffer.from(segment);
  copy.set(values, at);
  return copy;
}

/** The length in a segment's first two bytes, which it includes; infinite if it is not valid. */
function lengthAt(file: Buffer, at: number): number {
  const length = at + 2 <= file.length ? file.readUInt16BE(at) : 0;
  return length < 2 ? Number.POSITIVE_INFINITY : length;
}

/** The next marker: its code, where it ends, and whether bytes that belong to nothing lie before it. */
function nextMarker(file: Buffer, from: number): { code: number; end: number; stray: boolean } | undefined {
  let at = file.indexOf(0xff, from);
  let stray = at !== from;
  while (at >= 0) {
    let end = at + 1;
    while (file[end] === 0xff) end++; // any number of fill bytes may precede a marker
    if (end >= file.length) return undefined;
    if (file[end] !== 0) return { code: file[end], end: end + 1, stray };
    stray = true;
    at = file.indexOf(0xff, end);
  }
  return undefined;
}

/** Where the compressed data of a scan ends: at the next marker that does not belong to it, or at the end of the file. */
function endOfScan(file: Buffer, from: number): number {
  let at = file.indexOf(0xff, from);
  while (at >= 0 && at + 1 < file.length) {
    const code = file[at + 1];
    if (code !== 0 && code !== 0xff && !isRestart(code)) return at;
    at = file.indexOf(0xff, code === 0xff ? at + 1 : at + 2);
  }
  return at >= 0 ? at : file.length;
}

import { inflateSync } from 'node:zlib';
import { PictureError } from './picture.ts';
import { withoutChunks } from './png.ts';

/** Chunks with text, which may be compressed a thousandfold. Nothing in them is used. */
const TEXT = new Set(['tEXt', 'zTXt', 'iTXt']);
/** Chunks that a PNG has once at most (PNG, third edition, 5.6, and its registered extensions). */
const SINGLE = new Set(
  'PLTE bKGD cHRM cICP cLLI eXIf gAMA hIST iCCP mDCV oFFs pCAL pHYs sBIT sCAL sRGB sTER tIME tRNS'.split(' '),
);
/** The largest profile in a PNG, in bytes. */
const MAX_PROFILE = 4_000_000;

/**
 * The PNG without texts, and without repetitions of chunks that are allowed once. libvips would inflate all texts and
 * profiles when it reads the header, before anything is known about the picture, and takes 30 microseconds for each
 * repetition: a minute for a file of 32 MB.
 *
 * @param field name of the request field, for the error
 * @throws PictureError 'too-large' for a profile that inflates to more than 4 MB
 */
export function withoutBombs(png: Buffer, field: string): Buffer {
  const seen = new Set<string>();
  return withoutChunks(png, (type, data) => {
    if (TEXT.has(type) || seen.has(type)) return true;
    if (SINGLE.has(type)) seen.add(type);
    if (type === 'iCCP' && inflatesBeyond(MAX_PROFILE, data.subarray(data.indexOf(0) + 2)))
      throw profileTooLarge(field);
    return false;
  });
}

/** Whether compressed data inflates to more than `limit` bytes. Of damaged data, what comes before the damage counts. */
function inflatesBeyond(limit: number, data: Buffer): boolean {
  try {
    inflateSync(data, { maxOutputLength: limit });
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
  }
}

const profileTooLarge = (field: string) =>
  new PictureError(
    field,
    'too-large',
    `${field} has a colour profile of more than ${MAX_PROFILE / 1e6} MB; send it without the profile, or with a smaller one`,
  );

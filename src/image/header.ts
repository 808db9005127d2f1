import type { Metadata, SharpOptions } from 'sharp';
import { type InputFormat, isSequence, sniffFormat } from './format.ts';
import { withoutBombs } from './inflated.ts';
import { repairJpeg } from './jpeg.ts';
import { exceededLimit, PictureError, type SizeLimits } from './picture.ts';
import sharp from './sharp.ts';

/** The size is checked against the header, before decoding. */
export interface Limits extends SizeLimits {
  /** Time limit for reading the header, and for decoding, in milliseconds; none when absent. */
  timeoutMs?: number;
}

/** What is known about a picture before it is decoded. Width and height are those before EXIF orientation is applied. */
export type PictureHeader = Pick<
  Metadata,
  | 'width'
  | 'height'
  | 'format'
  | 'hasAlpha'
  | 'space'
  | 'depth'
  | 'icc'
  | 'exif'
  | 'orientation'
  | 'density'
  | 'resolutionUnit'
>;

/** A file as it is given to the decoder. */
export interface Source {
  format: InputFormat;
  file: Buffer;
}

/**
 * The lowest level of fault at which a file is refused. 'warning' is the strictest. libjpeg reports even missing data only
 * as warnings; libtiff warns about tags that have no influence on the pixels.
 */
export const FAIL_ON: Record<InputFormat, SharpOptions['failOn']> = {
  png: 'warning',
  jpeg: 'warning',
  webp: 'warning',
  avif: 'warning',
  tiff: 'error',
  gif: 'warning',
};

/** Errors and warnings that say that pixels are missing. */
const PIXELS_MISSING = /premature end|Unexpected end/i;

/** libvips reads Lab with 16 and 32 bits per channel only. */
const LAB_OF_8_BITS = /bad labq format/;

/** Pixel spaces with one colour channel, and those that become RGB without changing values (grey is repeated). */
export const GREY = new Set<string>(['b-w', 'grey16']);
const KEEPS_VALUES = new Set<string>(['srgb', 'rgb', 'rgb16', ...GREY]);

/** Whether the pixels become RGB without a change of their values. */
export const keepsValues = ({ space }: Pick<PictureHeader, 'space'>) => KEEPS_VALUES.has(space);

/** Whether a picture has more than 8 bits per channel, and keeps them when it is decoded. */
export const isDeep = (header: Pick<PictureHeader, 'space' | 'depth'>) =>
  header.depth === 'ushort' && keepsValues(header);

/** Detects the format, drops what the decoder must not see, and repairs what can be repaired. Throws PictureError. */
export function sourceOf(bytes: Buffer, field: string): Source {
  if (bytes.length === 0) throw new PictureError(field, 'unreadable', `${field} is empty (0 bytes)`);
  const format = sniffFormat(bytes);
  if (format === undefined) throw unsupported(field);
  switch (format) {
    case 'png':
      return { format, file: withoutBombs(bytes, field) };
    case 'jpeg':
      return { format, file: repairJpeg(bytes) };
    default:
      return { format, file: bytes };
  }
}

/** Reads the header and checks format and size, before any pixel is decoded. Throws PictureError. */
export async function readHeader(bytes: Buffer, field: string, limits: Limits): Promise<PictureHeader> {
  return headerOf(sourceOf(bytes, field), field, limits);
}

/** readHeader for a source. */
export async function headerOf(
  { format, file }: Source,
  field: string,
  limits: Limits,
): Promise<PictureHeader> {
  // sharp's own limit is off: its error does not contain the size, which our message reports.
  const metadata = await sharp(file, { failOn: FAIL_ON[format], limitInputPixels: false })
    .metadata()
    .catch((error: Error) => {
      throw format === 'avif' && isSequence(file) ? animated(field) : unreadable(field, error);
    });
  if (format === 'avif' && metadata.compression !== 'av1') throw unsupported(field);
  const { width, height } = metadata;
  const exceeded = exceededLimit({ width, height }, limits);
  if (exceeded)
    throw new PictureError(field, 'too-large', `${field} is ${width} x ${height} pixels; ${exceeded}`);
  const { hasAlpha, space, depth, icc, exif, orientation, density, resolutionUnit } = metadata;
  if (keepsValues(metadata) && !['uchar', 'ushort'].includes(depth))
    throw new PictureError(
      field,
      'unsupported',
      `${field} has samples of type ${depth}; send 8 or 16 bits per channel`,
    );
  return {
    width,
    height,
    format: metadata.format,
    hasAlpha,
    space,
    depth,
    icc,
    exif,
    orientation,
    density,
    resolutionUnit,
  };
}

/** The message of libvips is not passed on: it describes internals and does not help a client. */
export function unreadable(field: string, { message }: Error): PictureError {
  if (LAB_OF_8_BITS.test(message))
    return new PictureError(field, 'unsupported', `${field} is Lab with 8 bits per channel; send RGB`);
  const why = PIXELS_MISSING.test(message)
    ? 'is incomplete: the file ends, or has a gap, before the last pixels; send the whole file'
    : 'cannot be decoded: the file is truncated or damaged';
  return new PictureError(field, 'unreadable', `${field} ${why}`);
}

/** An animated AVIF may contain a still picture, which is decoded then. */
const animated = (field: string) =>
  new PictureError(
    field,
    'unsupported',
    `${field} is an animated AVIF without a still picture; send one frame`,
  );

export const tooSlow = (field: string, { timeoutMs = 0 }: Limits) =>
  new PictureError(
    field,
    'too-slow',
    `${field} takes longer than ${timeoutMs / 1000} s to decode; send it smaller, or as a baseline JPEG or PNG`,
  );

const unsupported = (field: string) =>
  new PictureError(field, 'unsupported', `${field} is not a PNG, JPEG, WebP, AVIF, TIFF or GIF picture`);

import type { Metadata, SharpOptions } from 'sharp';
import { sniffFormat } from './format.ts';
import { type Picture, PictureError } from './picture.ts';
import { isSound } from './profiled.ts';
import sharp from './sharp.ts';

export interface Limits {
  /** Maximum number of pixels (width * height); checked against the header, before decoding. */
  maxPixels: number;
  /** Maximum width and height in pixels; no limit when absent. */
  maxSide?: number;
  /** Time limit for reading the header, and for decoding, in milliseconds; none when absent. */
  timeoutMs?: number;
}

/** What is known about a picture before it is decoded. */
export type PictureHeader = Pick<Metadata, 'width' | 'height' | 'format' | 'hasAlpha' | 'space' | 'icc'>;

// 'warning' is the strictest level. libjpeg reports damaged data only as warnings.
const STRICT: SharpOptions = { failOn: 'warning', sequentialRead: true };

/**
 * Decodes a PNG, JPEG, WebP, AVIF, TIFF or GIF file to 8-bit RGB or RGBA, in rows from the top left. The format is
 * detected from the content. Of an animation or a multi-page file, the first frame is decoded. EXIF orientation is
 * applied.
 *
 * Colours: with an RGB profile, pixel values are not converted, and the profile is returned in `icc`. With a CMYK,
 * grey or Lab profile, they are converted to sRGB and the profile is dropped, because it does not describe RGB. A
 * damaged profile is dropped too. 16-bit channels keep their upper 8 bits.
 *
 * @param field name of the request field, for the error
 * @param header of this file, if it has been read already
 * @throws PictureError 'unreadable' (empty, truncated, damaged), 'unsupported' (other format or number of channels),
 *   'too-large' (more pixels than limits.maxPixels, or a side longer than limits.maxSide), 'too-slow'
 */
export async function decodePicture(
  bytes: Buffer,
  field: string,
  limits: Limits,
  header?: PictureHeader,
): Promise<Picture> {
  header ??= await readHeader(bytes, field, limits);
  const profile = profileSpace(header.icc);
  const decoder = sharp(bytes, {
    ...STRICT,
    autoOrient: true,
    limitInputPixels: limits.maxPixels,
    // By default sharp converts to sRGB. RGB pixels must not be converted: they keep their profile.
    ignoreIcc: profile === undefined || profile === 'RGB ',
  });
  // Works while rows are processed, not inside codecs that decode a picture at once: threads.ts limits those.
  if (limits.timeoutMs !== undefined) decoder.timeout({ seconds: Math.ceil(limits.timeoutMs / 1000) });
  const { data, info } = await decoder
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
    .catch((error: Error) => {
      throw /^timeout/.test(error.message) ? tooSlow(field, limits) : unreadable(field);
    });
  if (info.channels !== 3 && info.channels !== 4) {
    throw new PictureError(field, 'unsupported', `${field} has ${info.channels} channels; send RGB or RGBA`);
  }
  const picture: Picture = { width: info.width, height: info.height, channels: info.channels, data };
  const { icc, space } = header;
  if (icc && profile === 'RGB ' && KEEPS_VALUES.has(space) && (await isSound(icc))) picture.icc = icc;
  return picture;
}

/** Pixel spaces that convert to RGB without changing values (grey is repeated), so that an RGB profile still applies. */
const KEEPS_VALUES = new Set<string>(['srgb', 'rgb', 'rgb16', 'b-w', 'grey16']);

/** Reads the header and checks format and size, before any pixel is decoded. Throws PictureError. */
export async function readHeader(bytes: Buffer, field: string, limits: Limits): Promise<PictureHeader> {
  if (bytes.length === 0) throw new PictureError(field, 'unreadable', `${field} is empty (0 bytes)`);
  const format = sniffFormat(bytes);
  if (format === undefined) throw unsupported(field);
  // sharp's own limit is off: its error does not contain the size, which our message reports.
  const header = await sharp(bytes, { ...STRICT, limitInputPixels: false })
    .metadata()
    .catch(() => {
      throw unreadable(field);
    });
  if (format === 'avif' && header.compression !== 'av1') throw unsupported(field);
  const { width, height } = header;
  const { maxSide = Number.POSITIVE_INFINITY } = limits;
  if (Math.max(width, height) > maxSide) {
    const message = `${field} is ${width} x ${height} pixels; each side may have at most ${maxSide}`;
    throw new PictureError(field, 'too-large', message);
  }
  if (width * height > limits.maxPixels) {
    const message = `${field} is ${width} x ${height} pixels; at most ${limits.maxPixels} pixels are accepted`;
    throw new PictureError(field, 'too-large', message);
  }
  const { hasAlpha, space, icc } = header;
  return { width, height, format: header.format, hasAlpha, space, icc };
}

/** The colour space of an ICC profile: four characters at byte 16 of its header (ICC.1:2022, 7.2.8). */
function profileSpace(icc: Buffer | undefined): string | undefined {
  return icc && icc.length >= 20 ? icc.toString('latin1', 16, 20) : undefined;
}

// The message of libvips is not passed on: it describes internals and does not help a client.
const unreadable = (field: string) =>
  new PictureError(field, 'unreadable', `${field} cannot be decoded: the file is truncated or damaged`);

export const tooSlow = (field: string, { timeoutMs = 0 }: Limits) =>
  new PictureError(
    field,
    'too-slow',
    `${field} takes longer than ${timeoutMs / 1000} s to decode; send it smaller, or as a baseline JPEG or PNG`,
  );

const unsupported = (field: string) =>
  new PictureError(field, 'unsupported', `${field} is not a PNG, JPEG, WebP, AVIF, TIFF or GIF picture`);

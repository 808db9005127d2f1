import type { Metadata, SharpOptions } from 'sharp';
import { type InputFormat, sniffFormat } from './format.ts';
import { repairJpeg } from './jpeg.ts';
import { type Picture, PictureError } from './picture.ts';
import { isSound } from './profiled.ts';
import sharp from './sharp.ts';

export interface Limits {
  /** Maximum number of pixels (width * height); checked against the header, before decoding. */
  maxPixels: number;
}

/**
 * The lowest level of fault at which a file is refused. 'warning' is the strictest. libjpeg reports even missing data only
 * as warnings; libtiff warns about tags that have no influence on the pixels.
 */
const FAIL_ON: Record<InputFormat, SharpOptions['failOn']> = {
  png: 'warning',
  jpeg: 'warning',
  webp: 'warning',
  avif: 'warning',
  tiff: 'error',
  gif: 'warning',
};

/** Warnings of libjpeg about compressed data from which every pixel is decoded all the same. */
const ALL_PIXELS_DECODED = /bad Huffman code|instead of RST|Inconsistent progression/;
/** Errors and warnings that say that pixels are missing. */
const PIXELS_MISSING = /premature end|Unexpected end/i;

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
 * @throws PictureError 'unreadable' (empty, truncated, damaged), 'unsupported' (other format or number of channels),
 *   'too-large' (more pixels than limits.maxPixels)
 */
export async function decodePicture(bytes: Buffer, field: string, limits: Limits): Promise<Picture> {
  const format = supportedFormat(bytes, field);
  const file = format === 'jpeg' ? repairJpeg(bytes) : bytes;
  const header = await readHeader(file, format, field, limits);
  const profile = profileSpace(header.icc);
  const decode = (failOn: SharpOptions['failOn']) =>
    sharp(file, {
      failOn,
      sequentialRead: true,
      autoOrient: true,
      limitInputPixels: limits.maxPixels,
      // By default sharp converts to sRGB. RGB pixels must not be converted: they keep their profile.
      ignoreIcc: profile === undefined || profile === 'RGB ',
    })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
  const { data, info } = await decode(FAIL_ON[format])
    .catch((error: Error) => {
      if (!ALL_PIXELS_DECODED.test(error.message)) throw error;
      return decode('truncated');
    })
    .catch((error: Error) => {
      throw unreadable(field, error);
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

/** Throws PictureError for an empty file, and for one that is in no supported format. */
function supportedFormat(bytes: Buffer, field: string): InputFormat {
  if (bytes.length === 0) throw new PictureError(field, 'unreadable', `${field} is empty (0 bytes)`);
  const format = sniffFormat(bytes);
  if (format === undefined) throw unsupported(field);
  return format;
}

/** Reads the header and checks format and size, before any pixel is decoded. Throws PictureError. */
async function readHeader(
  file: Buffer,
  format: InputFormat,
  field: string,
  limits: Limits,
): Promise<Metadata> {
  // sharp's own limit is off: its error does not contain the size, which our message reports.
  const header = await sharp(file, { failOn: FAIL_ON[format], limitInputPixels: false })
    .metadata()
    .catch((error: Error) => {
      throw unreadable(field, error);
    });
  if (format === 'avif' && header.compression !== 'av1') throw unsupported(field);
  const { width, height } = header;
  if (width * height > limits.maxPixels) {
    const message = `${field} is ${width} x ${height} pixels; at most ${limits.maxPixels} pixels are accepted`;
    throw new PictureError(field, 'too-large', message);
  }
  return header;
}

/** The colour space of an ICC profile: four characters at byte 16 of its header (ICC.1:2022, 7.2.8). */
function profileSpace(icc: Buffer | undefined): string | undefined {
  return icc && icc.length >= 20 ? icc.toString('latin1', 16, 20) : undefined;
}

/** The message of libvips is not passed on: it describes internals and does not help a client. */
function unreadable(field: string, { message }: Error): PictureError {
  const why = PIXELS_MISSING.test(message)
    ? 'is incomplete: the file ends, or has a gap, before the last pixels; send the whole file'
    : 'cannot be decoded: the file is truncated or damaged';
  return new PictureError(field, 'unreadable', `${field} ${why}`);
}

const unsupported = (field: string) =>
  new PictureError(field, 'unsupported', `${field} is not a PNG, JPEG, WebP, AVIF, TIFF or GIF picture`);

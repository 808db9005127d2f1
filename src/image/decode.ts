import type { Metadata, SharpOptions } from 'sharp';
import { readCarried } from './carried.ts';
import { type InputFormat, isLossless, sniffFormat } from './format.ts';
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

/** Pixels as sharp decodes them: interleaved numbers of 8 or 16 bits. */
interface Decoded {
  width: number;
  height: number;
  channels: number;
  data: Uint8Array | Uint16Array;
}

/** Pixel spaces with one colour channel, and those that become RGB without changing values (grey is repeated). */
const GREY = new Set<string>(['b-w', 'grey16']);
const KEEPS_VALUES = new Set<string>(['srgb', 'rgb', 'rgb16', ...GREY]);

/**
 * Decodes a PNG, JPEG, WebP, AVIF, TIFF or GIF file to RGB or RGBA, in rows from the top left. The format is detected
 * from the content. Of an animation or a multi-page file, the first frame is decoded. EXIF orientation is applied. Of
 * channels with more than 8 bits, `data` has the upper 8, and `data16` all.
 *
 * Colours: pixel values are not converted, and a profile is returned in `icc`. CMYK and Lab have no RGB values: they are
 * converted to sRGB, and their profile is dropped, because it does not describe RGB. So are damaged profiles, and those
 * of another colour space than the pixels'.
 *
 * @param field name of the request field, for the error
 * @throws PictureError 'unreadable' (empty, truncated, damaged), 'unsupported' (other format or number of channels),
 *   'too-large' (more pixels than limits.maxPixels)
 */
export async function decodePicture(bytes: Buffer, field: string, limits: Limits): Promise<Picture> {
  const format = supportedFormat(bytes, field);
  const file = format === 'jpeg' ? repairJpeg(bytes) : bytes;
  const header = await readHeader(file, format, field, limits);
  const { width, height, channels, data } = await decode(file, format, header, field, limits);
  if (channels !== 3 && channels !== 4) {
    throw new PictureError(field, 'unsupported', `${field} has ${channels} channels; send RGB or RGBA`);
  }
  const { icc, space } = header;
  const profile = profileSpace(icc);
  const grey = GREY.has(space) && profile !== 'RGB ';
  const fits = profile === (grey ? 'GRAY' : 'RGB ') && KEEPS_VALUES.has(space);
  return {
    width,
    height,
    channels,
    ...(data instanceof Uint16Array ? { data: upperBytes(data), data16: data } : { data }),
    grey,
    icc: icc && fits && (await isSound(icc, grey)) ? icc : undefined,
    lossless: isLossless(file, format, header),
    carried: readCarried(file, format, header, { width, height }),
  };
}

async function decode(
  file: Buffer,
  format: InputFormat,
  header: Metadata,
  field: string,
  limits: Limits,
): Promise<Decoded> {
  const keepsValues = KEEPS_VALUES.has(header.space);
  const deep = header.depth === 'ushort' && keepsValues;
  const attempt = (failOn: SharpOptions['failOn']) =>
    sharp(file, {
      failOn,
      sequentialRead: true,
      autoOrient: true,
      limitInputPixels: limits.maxPixels,
      ignoreIcc: keepsValues, // by default sharp converts to sRGB
    })
      .toColourspace(deep ? 'rgb16' : 'srgb')
      .raw({ depth: deep ? 'ushort' : 'uchar' })
      .toBuffer({ resolveWithObject: true });
  const { data, info } = await attempt(FAIL_ON[format])
    .catch((error: Error) => {
      if (!ALL_PIXELS_DECODED.test(error.message)) throw error;
      return attempt('truncated');
    })
    .catch((error: Error) => {
      throw unreadable(field, error);
    });
  const { width, height, channels } = info;
  const numbers = deep ? new Uint16Array(data.buffer, data.byteOffset, data.length / 2) : data;
  return { width, height, channels, data: numbers };
}

function upperBytes(numbers: Uint16Array): Uint8Array {
  const bytes = new Uint8Array(numbers.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = numbers[i] >> 8;
  return bytes;
}

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

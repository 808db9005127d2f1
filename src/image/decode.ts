import type { Metadata, SharpOptions } from 'sharp';
import { sniffFormat } from './format.ts';
import { type Picture, PictureError } from './picture.ts';
import { isSound } from './profiled.ts';
import sharp from './sharp.ts';

export interface Limits {
  /** Most pixels (width * height) a picture may have; more is refused from the header alone. */
  maxPixels: number;
}

// 'warning' is the strictest: JPEG reports damaged data as mere warnings.
const STRICT: SharpOptions = { failOn: 'warning', sequentialRead: true };

/**
 * Reads a PNG, JPEG, WebP, AVIF, TIFF or GIF, told apart by content, as 8-bit RGB or RGBA in rows from the top
 * left; of an animation or a multi-page file, the first frame. EXIF orientation is applied.
 *
 * Colours: with an RGB profile the values stay in that profile's space, untouched, and the profile is kept in
 * `icc`. With a CMYK, grey or Lab profile they are converted to sRGB and no profile is kept, since it would not
 * describe RGB; nor is a damaged one. 16-bit channels keep their upper 8 bits.
 *
 * @param field the part of the request the bytes came in, for the error
 * @throws PictureError 'unreadable' (empty, truncated, damaged), 'unsupported' (another format), 'too-large'
 */
export async function decodePicture(bytes: Buffer, field: string, limits: Limits): Promise<Picture> {
  const header = await readHeader(bytes, field, limits);
  const profile = profileSpace(header.icc);
  const decoder = sharp(bytes, {
    ...STRICT,
    autoOrient: true,
    limitInputPixels: limits.maxPixels,
    // Converting is sharp's default, to sRGB; it must not touch RGB, which keeps its own profile.
    ignoreIcc: profile === undefined || profile === 'RGB ',
  });
  const { data, info } = await decoder
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
    .catch(() => {
      throw unreadable(field);
    });
  if (info.channels !== 3 && info.channels !== 4) {
    throw new PictureError(field, 'unsupported', `${field} has ${info.channels} channels; send RGB or RGBA`);
  }
  const picture: Picture = { width: info.width, height: info.height, channels: info.channels, data };
  const { icc, space } = header;
  if (icc && profile === 'RGB ' && KEEPS_VALUES.has(space) && (await isSound(icc))) picture.icc = icc;
  return picture;
}

/** Pixel spaces whose values reach RGB as they are (grey is repeated thrice), so that an RGB profile still fits. */
const KEEPS_VALUES = new Set<string>(['srgb', 'rgb', 'rgb16', 'b-w', 'grey16']);

/** Format and size from the header; no pixel is decoded before these have passed. */
async function readHeader(bytes: Buffer, field: string, limits: Limits): Promise<Metadata> {
  if (bytes.length === 0) throw new PictureError(field, 'unreadable', `${field} is empty (0 bytes)`);
  const format = sniffFormat(bytes);
  if (format === undefined) throw unsupported(field);
  // No limit of sharp's here: it would hide the size, which the refusal should name.
  const header = await sharp(bytes, { ...STRICT, limitInputPixels: false })
    .metadata()
    .catch(() => {
      throw unreadable(field);
    });
  if (format === 'avif' && header.compression !== 'av1') throw unsupported(field);
  const { width, height } = header;
  if (width * height > limits.maxPixels) {
    const message = `${field} is ${width} x ${height} pixels; at most ${limits.maxPixels} pixels are accepted`;
    throw new PictureError(field, 'too-large', message);
  }
  return header;
}

/** The colour space a profile describes, four letters at byte 16 of its header (ICC.1:2022, 7.2.8). */
function profileSpace(icc: Buffer | undefined): string | undefined {
  return icc && icc.length >= 20 ? icc.toString('latin1', 16, 20) : undefined;
}

// libvips' own message is left out: it names internals, and says nothing a client could act on.
const unreadable = (field: string) =>
  new PictureError(field, 'unreadable', `${field} cannot be decoded: the file is truncated or damaged`);

const unsupported = (field: string) =>
  new PictureError(field, 'unsupported', `${field} is not a PNG, JPEG, WebP, AVIF, TIFF or GIF picture`);

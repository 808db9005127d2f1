import type { Sharp } from 'sharp';
import { attachCarried } from './carried.ts';
import { toXmp } from './metadata.ts';
import { type Mask, type OutputFormat, type Picture, PictureError, type Size } from './picture.ts';
import { asProfiledTiff, type Samples } from './profiled.ts';
import sharp from './sharp.ts';

export interface EncodeOptions {
  format: OutputFormat;
  /**
   * 1..100, for JPEG and WebP. 90 by default, but a picture from a lossless file becomes a lossless WebP then, as at 100.
   * PNG is always lossless.
   */
  quality?: number;
  /** Size of the file's picture, if it is not the picture's own. */
  size?: Size;
  /** Whether to embed the EXIF of the picture's file. */
  exif?: boolean;
  /** Embedded as JSON in an XMP packet. */
  metadata?: Record<string, unknown>;
}

const DEFAULT_QUALITY = 90;
/** zlib's level for PNG. For photographs, 3 takes half to two thirds of the time of 6, sharp's default; files are 4 to 9 % larger. */
const COMPRESSION = 3;
/** Quality at which a WebP is lossless. */
const LOSSLESS = 100;

/** Maximum width and height of each format, in pixels. */
const LONGEST_SIDE: Record<OutputFormat, number> = { png: 2 ** 31 - 1, jpeg: 65_535, webp: 16_383 };

/**
 * Encodes a picture as a file, with its ICC profile, density and the metadata. A PNG also gets the colour chunks of a PNG,
 * and 16 bits per channel if the picture has them; the other formats have neither. JPEG has no alpha: the picture is
 * blended onto white. Lossless formats keep every pixel value, also the colours of transparent pixels.
 *
 * A grey picture stays grey. WebP has no grey: with a profile, it is converted to sRGB.
 *
 * @throws PictureError 'too-large', see assertFits
 */
export async function encodePicture(picture: Picture, options: EncodeOptions): Promise<Buffer> {
  const { format, metadata, exif = false, quality = defaultQuality(picture, format) } = options;
  const { width, height } = options.size ?? picture;
  assertFits({ width, height }, format);
  const pipeline = fromPicture(picture, format);
  if (width !== picture.width || height !== picture.height) pipeline.resize(width, height, { fit: 'fill' });
  if (metadata) pipeline.withXmp(toXmp(metadata));
  const file = await compress(pipeline, format, quality);
  return attachCarried(file, format, picture.carried, exif);
}

const defaultQuality = ({ lossless }: Picture, format: OutputFormat) =>
  lossless && format === 'webp' ? LOSSLESS : DEFAULT_QUALITY;

function compress(pipeline: Sharp, format: OutputFormat, quality: number): Promise<Buffer> {
  switch (format) {
    case 'png':
      return pipeline.png({ compressionLevel: COMPRESSION }).toBuffer();
    case 'webp':
      return pipeline
        .webp({ quality, lossless: quality === LOSSLESS, exact: quality === LOSSLESS })
        .toBuffer();
    case 'jpeg':
      // No chroma subsampling: with 4:2:0, colours bleed across the edge of the hole.
      return pipeline
        .flatten({ background: 'white' })
        .jpeg({ quality, chromaSubsampling: '4:4:4' })
        .toBuffer();
  }
}

/** Encodes a mask or an uncertainty map as a one-channel PNG. */
export async function encodeMask(mask: Mask): Promise<Buffer> {
  return sharp(mask.data, {
    raw: { width: mask.width, height: mask.height, channels: 1 },
    limitInputPixels: false,
  })
    .toColourspace('b-w')
    .png({ compressionLevel: COMPRESSION })
    .toBuffer();
}

/**
 * Checks that a format supports a picture of this size. Call it before any expensive work.
 *
 * @throws PictureError 'too-large', field 'format'
 */
export function assertFits(size: Size, format: OutputFormat): void {
  const limit = LONGEST_SIDE[format];
  if (Math.max(size.width, size.height) <= limit) return;
  const message = `${format} supports at most ${limit} pixels per side, the picture has ${size.width} x ${size.height}; use png`;
  throw new PictureError('format', 'too-large', message);
}

function fromPicture(picture: Picture, format: OutputFormat): Sharp {
  const samples = samplesOf(picture, format);
  const { width, height, channels, data } = samples;
  const { icc } = picture;
  const isGrey = channels < 3;
  const deep = data instanceof Uint16Array;
  const space = deep ? (isGrey ? 'grey16' : 'rgb16') : isGrey ? 'b-w' : 'srgb';
  const limitInputPixels = false; // the size was checked when the picture was decoded
  if (icc === undefined) {
    const raw = { width, height, channels };
    return sharp(data, { raw, limitInputPixels }).toColourspace(space);
  }
  const profiled = sharp(asProfiledTiff(samples, icc), { limitInputPixels });
  return isGrey && format === 'webp' ? profiled : profiled.keepIccProfile().toColourspace(space);
}

/** The picture's pixels as the format stores them. */
function samplesOf(
  { width, height, channels, data, data16, grey, icc }: Picture,
  format: OutputFormat,
): Samples {
  const numbers = format === 'png' && data16 ? data16 : data;
  if (!grey || (format === 'webp' && !icc)) return { width, height, channels, data: numbers };
  const kept = channels === 4 ? 2 : 1; // grey, and alpha if there is one
  const length = width * height * kept;
  const samples = numbers === data16 ? new Uint16Array(length) : new Uint8Array(length);
  for (let from = 0, to = 0; to < length; from += channels, to += kept) {
    samples[to] = numbers[from];
    if (kept === 2) samples[to + 1] = numbers[from + 3];
  }
  return { width, height, channels: kept, data: samples };
}

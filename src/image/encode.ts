import type { Sharp } from 'sharp';
import { toXmp } from './metadata.ts';
import { type Mask, type OutputFormat, type Picture, PictureError } from './picture.ts';
import { asProfiledTiff } from './profiled.ts';
import sharp from './sharp.ts';

export interface EncodeOptions {
  format: OutputFormat;
  /** 1..100, for JPEG and WebP; 90 by default. PNG is always lossless, WebP at 100. */
  quality?: number;
  /** Embedded as JSON in an XMP packet; readMetadata reads it. */
  metadata?: Record<string, unknown>;
}

const DEFAULT_QUALITY = 90;

/** Maximum width and height of each format, in pixels. */
const LONGEST_SIDE: Record<OutputFormat, number> = { png: 2 ** 31 - 1, jpeg: 65_535, webp: 16_383 };

/**
 * Encodes a picture as a file, with its ICC profile and the metadata. JPEG has no alpha: the picture is blended onto
 * white. Lossless formats keep every pixel value, also the colours of transparent pixels.
 *
 * @throws PictureError 'too-large', see assertFits
 */
export async function encodePicture(picture: Picture, options: EncodeOptions): Promise<Buffer> {
  assertFits(picture, options.format);
  const pipeline = fromPicture(picture);
  if (options.metadata) pipeline.withXmp(toXmp(options.metadata));
  const quality = options.quality ?? DEFAULT_QUALITY;
  switch (options.format) {
    case 'png':
      return pipeline.png().toBuffer();
    case 'webp':
      return pipeline.webp({ quality, lossless: quality === 100, exact: quality === 100 }).toBuffer();
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
  return sharp(mask.data, { raw: { width: mask.width, height: mask.height, channels: 1 } })
    .toColourspace('b-w')
    .png()
    .toBuffer();
}

/**
 * Checks that a format supports a picture of this size. Call it before any expensive work.
 *
 * @throws PictureError 'too-large', field 'format'
 */
export function assertFits(size: { width: number; height: number }, format: OutputFormat): void {
  const limit = LONGEST_SIDE[format];
  if (Math.max(size.width, size.height) <= limit) return;
  const message = `${format} supports at most ${limit} pixels per side, the picture has ${size.width} x ${size.height}; use png`;
  throw new PictureError('format', 'too-large', message);
}

function fromPicture(picture: Picture): Sharp {
  const { width, height, channels, data, icc } = picture;
  if (icc === undefined) return sharp(data, { raw: { width, height, channels } });
  // This TIFF comes from asProfiledTiff, and its size was checked when it was decoded.
  return sharp(asProfiledTiff(picture, icc), { limitInputPixels: false }).keepIccProfile();
}

import type { Sharp } from 'sharp';
import { toXmp } from './metadata.ts';
import { type Mask, type OutputFormat, type Picture, PictureError } from './picture.ts';
import { asProfiledTiff } from './profiled.ts';
import sharp from './sharp.ts';

export interface EncodeOptions {
  format: OutputFormat;
  /** 1..100, for jpeg and webp; 90 when absent. PNG is lossless always, WebP at 100. */
  quality?: number;
  /** Embedded as JSON in an XMP packet; readMetadata gets it back. */
  metadata?: Record<string, unknown>;
}

const DEFAULT_QUALITY = 90;

/** The longest side each format can hold, in pixels. */
const LONGEST_SIDE: Record<OutputFormat, number> = { png: 2 ** 31 - 1, jpeg: 65_535, webp: 16_383 };

/**
 * A picture as a file, with its ICC profile and the metadata. Alpha stays, except in JPEG, which has none: there the
 * picture is laid on white. Losslessly coded pixels are exact, colours under transparent ones included.
 *
 * @throws PictureError 'too-large' as assertFits does
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
      // Full chroma: at 4:2:0 colours bleed across the seam.
      return pipeline
        .flatten({ background: 'white' })
        .jpeg({ quality, chromaSubsampling: '4:4:4' })
        .toBuffer();
  }
}

/** A mask or an uncertainty map as a one-channel PNG. */
export async function encodeMask(mask: Mask): Promise<Buffer> {
  return sharp(mask.data, { raw: { width: mask.width, height: mask.height, channels: 1 } })
    .toColourspace('b-w')
    .png()
    .toBuffer();
}

/**
 * Refuses what a format cannot hold; worth asking before any work is done.
 *
 * @throws PictureError 'too-large', field 'format'
 */
export function assertFits(size: { width: number; height: number }, format: OutputFormat): void {
  const limit = LONGEST_SIDE[format];
  if (Math.max(size.width, size.height) <= limit) return;
  const message = `${format} holds at most ${limit} pixels a side, the picture is ${size.width} x ${size.height}; ask for png`;
  throw new PictureError('format', 'too-large', message);
}

function fromPicture(picture: Picture): Sharp {
  const { width, height, channels, data, icc } = picture;
  if (icc === undefined) return sharp(data, { raw: { width, height, channels } });
  // The TIFF is our own, of a size that was accepted: no limit but the one it has passed.
  return sharp(asProfiledTiff(picture, icc), { limitInputPixels: false }).keepIccProfile();
}

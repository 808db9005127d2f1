import type { PngChunk } from './png.ts';

/** A decoded picture: 8 bits per channel, orientation applied, pixels in rows from the top left. */
export interface Picture {
  width: number;
  height: number;
  /** 3: red, green, blue; 4: red, green, blue, alpha (not premultiplied). */
  channels: 3 | 4;
  /** width * height * channels bytes. */
  data: Uint8Array;
  /** The same pixels with 16 bits per channel, if the file has more than 8; `data` has the upper 8 bits of each. */
  data16?: Uint16Array;
  /** The file has one colour channel, and no profile or a grey one: red, green and blue are equal. */
  grey?: boolean;
  /** The embedded ICC profile; encodePicture embeds it in the result. */
  icc?: Uint8Array;
  /** The file was not compressed with loss. */
  lossless?: boolean;
  /** What else the file says about the picture; encodePicture writes it into the result. */
  carried?: Carried;
}

/** What a file says about its picture apart from pixels and profile; attachCarried() writes it into another file. */
export interface Carried {
  density?: Density;
  /** Chunks of a PNG that say how its numbers are displayed. Other formats have nothing of the kind. */
  colour: PngChunk[];
  /** EXIF, adapted to the changed picture (see exif.ts). */
  exif?: Uint8Array;
}

/** Pixels per unit of length. Without a unit, only their ratio is meant: the shape of a pixel. */
export interface Density {
  x: number;
  y: number;
  unit: 'none' | 'metre' | 'inch' | 'cm';
}

/** A mask: one byte per pixel, 255 in the hole, 0 for known pixels. */
export interface Mask {
  width: number;
  height: number;
  /** width * height bytes, each 0 or 255. */
  data: Uint8Array;
  /** The file of the mask has transparent pixels. */
  transparent?: boolean;
  /** Its hole are the transparent pixels of a file. */
  fromAlpha?: boolean;
  /** Weight of the fill at each pixel of the hole, 1..255, if the hole has a soft edge; width * height bytes. */
  weights?: Uint8Array;
}

/** A rectangle in pixels. left and top may be negative; width and height are at least 1. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** A row of one pixel takes decoders and encoders as long as this many pixels. */
const LEAST_SIDE = 64;
/** Up to this many, counted pixels are no reason to refuse a picture. */
const FREE_PIXELS = 1_000_000;

/** Pixels that the work on a picture is in proportion to: a side below 64 pixels counts as 64. */
export const countedPixels = ({ width, height }: Size): number =>
  Math.max(width, LEAST_SIDE) * Math.max(height, LEAST_SIDE);

/** Whether a picture has more than `maxPixels`, or is so thin that it takes as much work as one that has. */
const exceeds = (size: Size, maxPixels: number): boolean =>
  size.width * size.height > maxPixels || countedPixels(size) > Math.max(maxPixels, FREE_PIXELS);

export interface SizeLimits {
  /** Maximum number of pixels; see exceededLimit(). */
  maxPixels: number;
  /** Maximum width and height in pixels; no limit when absent. */
  maxSide?: number;
}

/** The limit that a picture of this size exceeds, in words; undefined if it is accepted. */
export function exceededLimit(
  size: Size,
  { maxPixels, maxSide = Number.POSITIVE_INFINITY }: SizeLimits,
): string | undefined {
  if (Math.max(size.width, size.height) > maxSide) return `each side may have at most ${maxSide}`;
  if (!exceeds(size, maxPixels)) return undefined;
  const thin = size.width * size.height > maxPixels ? '' : ', and a side below 64 counts as 64';
  return `at most ${maxPixels} pixels are accepted${thin}`;
}

export const OUTPUT_FORMATS = ['png', 'jpeg', 'webp'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** An uploaded picture cannot be used. `field` names the field of the request that contained it. */
export class PictureError extends Error {
  override name = 'PictureError';
  readonly field: string;
  readonly code: 'unreadable' | 'unsupported' | 'too-large' | 'too-slow' | 'mismatch' | 'empty-mask';
  constructor(field: string, code: PictureError['code'], message: string) {
    super(message);
    this.field = field;
    this.code = code;
  }
}

/** Width and height in pixels. */
export type Size = Pick<Box, 'width' | 'height'>;

/** The size of a square. */
export const square = (side: number) => ({ width: side, height: side });

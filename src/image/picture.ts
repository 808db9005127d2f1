/** A decoded picture: 8 bits a channel, orientation applied, pixels in rows from the top left. */
export interface Picture {
  width: number;
  height: number;
  /** 3: sRGB-ordered red, green, blue; 4: the same and alpha (not premultiplied). */
  channels: 3 | 4;
  /** width * height * channels bytes. */
  data: Uint8Array;
  /** The embedded ICC profile, kept so that the answer carries it too. */
  icc?: Buffer;
}

/** A hole: one byte a pixel, 255 in the hole, 0 where the picture is known. */
export interface Mask {
  width: number;
  height: number;
  /** width * height bytes, each 0 or 255. */
  data: Uint8Array;
}

/** Pixels from left, top; width and height at least 1. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export type OutputFormat = 'png' | 'jpeg' | 'webp';

/** What was sent cannot be used as a picture; `field` says which part of the request. */
export class PictureError extends Error {
  override name = 'PictureError';
  readonly field: string;
  readonly code: 'unreadable' | 'unsupported' | 'too-large' | 'mismatch' | 'empty-mask';
  constructor(field: string, code: PictureError['code'], message: string) {
    super(message);
    this.field = field;
    this.code = code;
  }
}

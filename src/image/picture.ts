/** A decoded picture: 8 bits per channel, orientation applied, pixels in rows from the top left. */
export interface Picture {
  width: number;
  height: number;
  /** 3: red, green, blue; 4: red, green, blue, alpha (not premultiplied). */
  channels: 3 | 4;
  /** width * height * channels bytes. */
  data: Uint8Array;
  /** The embedded ICC profile; encodePicture embeds it in the result. */
  icc?: Buffer;
}

/** A mask: one byte per pixel, 255 in the hole, 0 for known pixels. */
export interface Mask {
  width: number;
  height: number;
  /** width * height bytes, each 0 or 255. */
  data: Uint8Array;
}

/** A rectangle in pixels. left and top may be negative; width and height are at least 1. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export type OutputFormat = 'png' | 'jpeg' | 'webp';

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

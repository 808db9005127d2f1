import type { SharpOptions } from 'sharp';
import { readCarried } from './carried.ts';
import {
  FAIL_ON,
  GREY,
  headerOf,
  isDeep,
  keepsValues,
  type Limits,
  type PictureHeader,
  type Source,
  sourceOf,
  tooSlow,
  unreadable,
} from './header.ts';
import { isLossless } from './lossless.ts';
import { type Picture, PictureError } from './picture.ts';
import { isSound } from './profiled.ts';
import sharp from './sharp.ts';

/** Warnings of libjpeg about compressed data from which every pixel is decoded all the same. */
const ALL_PIXELS_DECODED = /bad Huffman code|instead of RST|Inconsistent progression/;
/** How sharp says that its time limit has passed: in a line of its own, after warnings of the decoder. */
const TIMED_OUT = /^timeout: /m;

/** Pixels as sharp decodes them: interleaved numbers of 8 or 16 bits. */
interface Decoded {
  width: number;
  height: number;
  channels: number;
  data: Uint8Array | Uint16Array;
}

/**
 * Decodes a PNG, JPEG, WebP, AVIF, TIFF or GIF file to RGB or RGBA, in rows from the top left. The format is detected
 * from the content. Of an animation or a multi-page file, the first frame is decoded. EXIF orientation is applied. Of
 * channels with more than 8 bits, `data` has the upper 8, and `data16` all.
 *
 * Colours: pixel values are not converted, and a profile is returned in `icc`. CMYK and Lab have no RGB values: they are
 * converted to sRGB (Lab with 8 bits is refused), and their profile is dropped, because it does not describe RGB. So are
 * damaged profiles, and those of another colour space than the pixels'.
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
  const source = sourceOf(bytes, field);
  header ??= await headerOf(source, field, limits);
  const { width, height, channels, data } = await decode(source, header, field, limits);
  if (channels !== 3 && channels !== 4) {
    throw new PictureError(field, 'unsupported', `${field} has ${channels} channels; send RGB or RGBA`);
  }
  const { icc, space } = header;
  const profile = profileSpace(icc);
  const grey = GREY.has(space) && profile !== 'RGB ';
  const fits = profile === (grey ? 'GRAY' : 'RGB ') && keepsValues(header);
  return {
    width,
    height,
    channels,
    ...(data instanceof Uint16Array ? { data: upperBytes(data), data16: data } : { data }),
    grey,
    icc: icc && fits && (await isSound(icc, grey)) ? icc : undefined,
    lossless: isLossless(source.file, source.format),
    carried: readCarried(source.file, source.format, header, { width, height }),
  };
}

async function decode(
  { format, file }: Source,
  header: PictureHeader,
  field: string,
  { maxPixels, timeoutMs }: Limits,
): Promise<Decoded> {
  const deep = isDeep(header);
  const attempt = (failOn: SharpOptions['failOn']) => {
    const decoder = sharp(file, {
      failOn,
      sequentialRead: true,
      autoOrient: true,
      limitInputPixels: maxPixels,
      ignoreIcc: keepsValues(header), // by default sharp converts to sRGB
    });
    // Works while rows are processed, not inside codecs that decode a picture at once: threads.ts limits those.
    if (timeoutMs !== undefined) decoder.timeout({ seconds: Math.ceil(timeoutMs / 1000) });
    return decoder
      .toColourspace(deep ? 'rgb16' : 'srgb')
      .raw({ depth: deep ? 'ushort' : 'uchar' })
      .toBuffer({ resolveWithObject: true });
  };
  const { data, info } = await attempt(FAIL_ON[format])
    .catch((error: Error) => {
      if (!ALL_PIXELS_DECODED.test(error.message)) throw error;
      return attempt('truncated');
    })
    .catch((error: Error) => {
      throw TIMED_OUT.test(error.message)
        ? tooSlow(field, { maxPixels, timeoutMs })
        : unreadable(field, error);
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

/** The colour space of an ICC profile: four characters at byte 16 of its header (ICC.1:2022, 7.2.8). */
function profileSpace(icc: Uint8Array | undefined): string | undefined {
  return icc && icc.length >= 20 ? String.fromCharCode(...icc.subarray(16, 20)) : undefined;
}

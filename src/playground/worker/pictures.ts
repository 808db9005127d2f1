import type { Limits, MaskRef, Picture } from '../state/types.ts';
import { createMask, emptyMask, extendMask } from './masks.ts';
import { readParameters } from './png.ts';
import { withoutOrientation } from './webp.ts';

/** Pictures are kept at this and at smaller sizes, so that drawing one takes as long as the screen is large. */
const LARGEST_SIDE_OF_LEVEL = 512;
const THUMBNAIL = 160;
/** Rows whose alpha is looked at in one piece. */
const ROWS = 256;

/** A picture and its halvings, from large to small. */
export type Levels = ImageBitmap[];

export interface Opened {
  /** What is kept and sent. */
  file: Blob;
  width: number;
  height: number;
  transparent: boolean;
  mask: MaskRef;
  levels: Levels;
  parameters?: Record<string, unknown>;
}

export async function openPicture(given: Blob): Promise<Opened> {
  const file = await withoutOrientation(given);
  const bitmap = await createImageBitmap(file); // applies the EXIF orientation of other formats, as the service does
  const { width, height } = bitmap;
  const hole = file.type === 'image/jpeg' ? undefined : transparentPart(bitmap);
  const parameters = await readParameters(file).catch(() => undefined); // damaged text
  const levels = await halvings(bitmap);
  // Last: if a mask were made meanwhile, keepMasks would forget this one before the page knows it.
  const mask = hole ? createMask({ width, height, data: hole }) : emptyMask(width, height);
  return { file, width, height, transparent: hole !== undefined, mask, levels, parameters };
}

export const decodeLevels = async (file: Blob): Promise<Levels> => halvings(await createImageBitmap(file));

async function halvings(bitmap: ImageBitmap): Promise<Levels> {
  const levels = [bitmap];
  for (let { width, height } = bitmap; Math.max(width, height) > LARGEST_SIDE_OF_LEVEL; ) {
    width = Math.max(1, Math.round(width / 2));
    height = Math.max(1, Math.round(height / 2));
    const resizing = { resizeWidth: width, resizeHeight: height, resizeQuality: 'medium' } as const;
    levels.push(await createImageBitmap(levels.at(-1) as ImageBitmap, resizing));
  }
  return levels;
}

/** A mask of the pixels that the service takes for the hole: alpha below 128. Undefined for an opaque picture. */
function transparentPart(bitmap: ImageBitmap): Uint8Array | undefined {
  const { width, height } = bitmap;
  let hole: Uint8Array | undefined;
  const canvas = new OffscreenCanvas(width, Math.min(ROWS, height));
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) return undefined;
  for (let top = 0; top < height; top += ROWS) {
    context.clearRect(0, 0, width, canvas.height);
    context.drawImage(bitmap, 0, -top);
    const rows = Math.min(ROWS, height - top);
    const { data } = context.getImageData(0, 0, width, rows);
    for (let i = 0; i < width * rows; i++) {
      if (data[4 * i + 3] === 255) continue;
      hole ??= new Uint8Array(width * height);
      if (data[4 * i + 3] < 128) hole[top * width + i] = 255;
    }
  }
  return hole;
}

/** Decodes a picture for `use`. Its memory is given back at once: the browser would do that some time later. */
async function withBitmap<T>(file: Blob, use: (bitmap: ImageBitmap) => T): Promise<Awaited<T>> {
  const bitmap = await createImageBitmap(file);
  try {
    return await use(bitmap);
  } finally {
    bitmap.close();
  }
}

/** A mask from a file: white is the hole. */
export async function openMask(
  file: Blob,
  { width, height }: { width: number; height: number },
): Promise<MaskRef> {
  const { data } = await withBitmap(file, (bitmap) => {
    if (bitmap.width !== width || bitmap.height !== height) {
      throw new Error(
        `The mask is ${bitmap.width} × ${bitmap.height} px, but the picture is ${width} × ${height} px. ` +
          'Choose a mask of the same size.',
      );
    }
    return drawn(bitmap, width, height).getImageData(0, 0, width, height);
  });
  const mask = new Uint8Array(width * height);
  for (let i = 0; i < mask.length; i++) {
    const luma = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
    mask[i] = Math.round((luma * data[4 * i + 3]) / 255);
  }
  return createMask({ width, height, data: mask });
}

/** An empty canvas to draw on, whose pixels are read afterwards, unless it says otherwise. */
function blank(width: number, height: number, willReadFrequently = true) {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently });
  if (!context) throw new Error('This browser cannot draw pictures.');
  return context;
}

function drawn(bitmap: ImageBitmap, width: number, height: number, left = 0, top = 0) {
  const context = blank(width, height);
  context.drawImage(bitmap, left, top, bitmap.width, bitmap.height);
  return context;
}

export function thumbnail(file: Blob): Promise<Blob> {
  return withBitmap(file, (bitmap) => {
    const scale = Math.min(1, THUMBNAIL / Math.min(bitmap.width, bitmap.height));
    return copy(bitmap, scale, 'image/webp');
  });
}

/** A copy that is small enough for the service. That of a transparent picture is a PNG, as JPEG knows no hole. */
export function shrink(
  file: Blob,
  { max_pixels, max_side, max_upload_bytes }: Limits,
  transparent: boolean,
): Promise<Blob> {
  return withBitmap(file, async (bitmap) => {
    const { width, height } = bitmap;
    let scale = Math.min(1, Math.sqrt(max_pixels / (width * height)), max_side / Math.max(width, height));
    for (;;) {
      const smaller = await copy(bitmap, scale, transparent ? 'image/png' : 'image/jpeg');
      if (smaller.size < 0.9 * max_upload_bytes || scale * Math.max(width, height) < 1) return smaller;
      scale *= 0.7;
    }
  });
}

function copy(bitmap: ImageBitmap, scale: number, type: string): Promise<Blob> {
  const width = Math.max(1, Math.floor(bitmap.width * scale));
  const height = Math.max(1, Math.floor(bitmap.height * scale));
  const context = blank(width, height, false);
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, width, height);
  return context.canvas.convertToBlob({ type, quality: 0.92 });
}

/** The picture in a larger frame, whose border is transparent. */
export async function extend(
  { file, width, height }: Picture,
  mask: MaskRef,
  by: { left: number; top: number; right: number; bottom: number },
): Promise<{ file: Blob; mask: MaskRef; width: number; height: number }> {
  const size = { width: width + by.left + by.right, height: height + by.top + by.bottom };
  const context = await withBitmap(file, (bitmap) => drawn(bitmap, size.width, size.height, by.left, by.top));
  const extended = await context.canvas.convertToBlob({ type: 'image/png' });
  return {
    file: extended,
    mask: extendMask(mask.version, size.width, size.height, by.left, by.top),
    ...size,
  };
}

/** The middle square of a picture, at most `side` pixels wide, as RGB values in -1..1. */
export async function square(file: Blob, side: number): Promise<{ size: number; rgb: Float32Array }> {
  const { data, width: size } = await withBitmap(file, (bitmap) => {
    const short = Math.min(bitmap.width, bitmap.height);
    const size = Math.min(short, side);
    const context = blank(size, size);
    context.imageSmoothingQuality = 'high';
    const left = (bitmap.width - short) >> 1;
    context.drawImage(bitmap, left, (bitmap.height - short) >> 1, short, short, 0, 0, size, size);
    return context.getImageData(0, 0, size, size);
  });
  const rgb = new Float32Array(3 * size * size); // three planes, as in the service
  for (let i = 0; i < size * size; i++)
    for (let c = 0; c < 3; c++) rgb[c * size * size + i] = data[4 * i + c] / 127.5 - 1;
  return { size, rgb };
}

/** A picture that came as a data: URL. */
export async function decodeUrl(url: string): Promise<ImageBitmap> {
  const [head, text] = url.split(',');
  return createImageBitmap(decodeBase64(text, head.slice(5).split(';')[0]));
}

function decodeBase64(base64: string, type: string): Blob {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new Blob([bytes], { type });
}

/** A map of where the candidates differ, from dark (alike) over purple to yellow; transparent where they are equal. */
export async function heatmap(base64: string): Promise<ImageBitmap> {
  const context = await withBitmap(decodeBase64(base64, 'image/png'), (bitmap) => {
    const scale = Math.min(1, 1536 / Math.max(bitmap.width, bitmap.height));
    const small = blank(Math.ceil(bitmap.width * scale), Math.ceil(bitmap.height * scale));
    small.drawImage(bitmap, 0, 0, small.canvas.width, small.canvas.height);
    return small;
  });
  const { canvas } = context;
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < image.data.length; i += 4) {
    const value = image.data[i];
    image.data[i] = Math.min(255, 60 + value * 1.6);
    image.data[i + 1] = Math.max(0, (value - 96) * 1.6);
    image.data[i + 2] = Math.max(0, 160 - value);
    image.data[i + 3] = value === 0 ? 0 : 150 + value * 0.4;
  }
  context.putImageData(image, 0, 0);
  return canvas.transferToImageBitmap();
}

import type { Box, MaskOperation, MaskRef } from '../state/types.ts';
import { grow } from './morphology.ts';
import { encodeGrey } from './png.ts';
import { drawShape } from './raster.ts';
import { fromSnapshot, type Pixels, type Snapshot, takeSnapshot } from './tiles.ts';

const HOLE = 128;
/** A soft edge begins at this value. */
const EDGE = 16;
const TINT = [255, 45, 106] as const;

const snapshots = new Map<number, Snapshot>();
let last = 0;
/** The pixels of the mask that was used last. */
let cached: { version: number; pixels: Pixels } | undefined;

export function createMask(pixels: Pixels, before?: number): MaskRef {
  const version = ++last;
  snapshots.set(version, takeSnapshot(pixels, before === undefined ? undefined : snapshots.get(before)));
  cached = { version, pixels };
  let hole = 0;
  for (const value of pixels.data) if (value >= HOLE) hole++;
  return { version, fraction: hole / pixels.data.length };
}

export const emptyMask = (width: number, height: number) =>
  createMask({ width, height, data: new Uint8Array(width * height) });

function pixelsOf(version: number): Pixels {
  if (cached?.version === version) return cached.pixels;
  const snapshot = snapshots.get(version);
  if (!snapshot) throw new Error(`there is no mask ${version}`);
  const pixels = fromSnapshot(snapshot);
  cached = { version, pixels };
  return pixels;
}

export function changeMask(version: number, operation: MaskOperation): MaskRef {
  const { width, height, data } = pixelsOf(version);
  const next: Pixels = { width, height, data: operation.kind === 'draw' ? data.slice() : changed(operation) };
  if (operation.kind === 'draw') drawShape(next, operation.shape);
  return createMask(next, version);

  function changed(simple: Exclude<MaskOperation, { kind: 'draw' }>): Uint8Array {
    if (simple.kind === 'grow') return grow({ width, height, data }, simple.by);
    return simple.kind === 'invert' ? data.map((value) => 255 - value) : new Uint8Array(data.length);
  }
}

/** The mask in a larger frame, whose border is hole. */
export function extendMask(
  version: number,
  width: number,
  height: number,
  left: number,
  top: number,
): MaskRef {
  const old = pixelsOf(version);
  const data = new Uint8Array(width * height).fill(255);
  for (let y = 0; y < old.height; y++)
    data.set(old.data.subarray(y * old.width, (y + 1) * old.width), (y + top) * width + left);
  return createMask({ width, height, data });
}

/** Forgets the masks that nothing leads to any more. One that was made after these is on its way to the page. */
export function keepMasks(versions: readonly number[]): void {
  const newest = Math.max(...versions);
  for (const version of snapshots.keys())
    if (version < newest && !versions.includes(version)) snapshots.delete(version);
}

export const maskFile = (version: number): Promise<Blob> => encodeGrey(pixelsOf(version));

/** The part `box` of a mask as a picture of the given size: the hole in its colour. */
export function drawMask(version: number, box: Box, size: { width: number; height: number }): ImageBitmap {
  const mask = pixelsOf(version);
  const image = new ImageData(size.width, size.height);
  const [red, green, blue] = TINT;
  const columns = edges(box.left, box.width, size.width, mask.width);
  const rows = edges(box.top, box.height, size.height, mask.height);
  for (let y = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++) {
      const value = largest(mask, columns[x], columns[x + 1], rows[y], rows[y + 1]);
      if (value < EDGE) continue;
      const at = 4 * (y * size.width + x);
      image.data[at] = red;
      image.data[at + 1] = green;
      image.data[at + 2] = blue;
      image.data[at + 3] = value;
    }
  }
  const canvas = new OffscreenCanvas(size.width, size.height);
  canvas.getContext('2d')?.putImageData(image, 0, 0);
  return canvas.transferToImageBitmap();
}

/** Borders, in pixels of the mask, of the columns or rows of what is drawn. */
function edges(start: number, length: number, count: number, limit: number): Int32Array {
  return Int32Array.from({ length: count + 1 }, (_, i) =>
    Math.min(limit, Math.max(0, Math.floor(start + (i * length) / count))),
  );
}

/** The largest value of a block, so that thin strokes stay visible in a small view. */
function largest({ width, height, data }: Pixels, x0: number, x1: number, y0: number, y1: number): number {
  if (x0 >= width || y0 >= height) return 0;
  let value = 0;
  for (let y = y0; y < Math.max(y1, y0 + 1); y++)
    for (let x = x0; x < Math.max(x1, x0 + 1); x++) value = Math.max(value, data[y * width + x]);
  return value;
}

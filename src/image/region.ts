import { wholeBox } from './box.ts';
import { smoothFill } from './fill.ts';
import type { Box, Mask, Picture, Size } from './picture.ts';
import { resizeRgb } from './resize.ts';

/**
 * Converts a box of the picture to a tensor: [3, height, width], channels red, green, blue, values -1..1 (byte b becomes
 * b / 127.5 - 1).
 *
 * The box is resized to this size (see resizeRgb), or copied exactly if it has this size. Outside the picture it is padded
 * with mirrored pixels. Alpha is ignored. With a mask, the hole is first replaced by a smooth extension of its
 * surroundings, because resizing would mix its old content into known pixels. The result is therefore independent of
 * the old content.
 */
export async function pictureToTensor(
  picture: Picture,
  box: Box,
  { width, height }: Size,
  mask?: Mask,
): Promise<Float32Array> {
  const columns = mirrored(box.left, box.width, picture.width);
  const rows = mirrored(box.top, box.height, picture.height);
  const crop = cropRgb(picture, columns, rows);
  if (mask) smoothFill(crop, cropMask(mask, columns, rows), box.width, box.height);
  const rgb = await resizeRgb(crop, box, { width, height });
  const plane = width * height;
  const tensor = new Float32Array(3 * plane);
  for (let c = 0; c < 3; c++)
    for (let p = 0, at = c * plane; p < plane; p++) tensor[at + p] = rgb[p * 3 + c] / 127.5 - 1;
  return tensor;
}

/**
 * Converts a box of the mask to a tensor: [height, width], 1 where the pixel overlaps any hole pixel of the box, else 0. No
 * unknown pixel is therefore presented to the network as known. Outside the picture, mirrored like the pixels.
 */
export function maskToTensor(mask: Mask, box: Box, { width, height }: Size): Float32Array {
  const tensor = new Float32Array(width * height);
  const columns = cells(box.width, width);
  const rows = cells(box.height, height);
  const sourceX = mirrored(box.left, box.width, mask.width);
  const sourceY = mirrored(box.top, box.height, mask.height);
  for (let y = 0; y < box.height; y++) {
    const source = sourceY[y] * mask.width;
    for (let x = 0; x < box.width; x++) {
      if (mask.data[source + sourceX[x]] === 0) continue;
      for (let row = rows.first[y]; row <= rows.last[y]; row++) {
        for (let column = columns.first[x]; column <= columns.last[x]; column++)
          tensor[row * width + column] = 1;
      }
    }
  }
  return tensor;
}

/** Whether a mask's tensor, 1 in the hole and 0 elsewhere, has a known pixel. */
export const hasKnown = (tensor: Float32Array): boolean => tensor.includes(0);

/**
 * Converts [3, height, width] to a picture, the inverse of pictureToTensor. Values outside -1..1 are clipped.
 *
 * @param part of the tensor that is wanted, all of it by default
 */
export function tensorToPicture(tensor: Float32Array, size: Size, part: Box = wholeBox(size)): Picture {
  const { left, top, width, height } = part;
  const data = new Uint8ClampedArray(width * height * 3);
  for (let c = 0; c < 3; c++) {
    for (let y = 0, to = c; y < height; y++) {
      const from = (c * size.height + top + y) * size.width + left;
      for (let p = from; p < from + width; p++, to += 3) data[to] = (tensor[p] + 1) * 127.5;
    }
  }
  return { width, height, channels: 3, data: new Uint8Array(data.buffer) };
}

/** The first and last of `count` equal cells that each pixel overlaps, on a line of `length` pixels. */
function cells(length: number, count: number): { first: Int32Array; last: Int32Array } {
  return {
    first: Int32Array.from({ length }, (_, i) => Math.floor((i * count) / length)),
    last: Int32Array.from({ length }, (_, i) => Math.floor(((i + 1) * count - 1) / length)),
  };
}

/** Source indices of pixels start .. start + length - 1, on a line of `size` pixels padded with its mirror images. */
export function mirrored(start: number, length: number, size: number): Int32Array {
  return Int32Array.from({ length }, (_, i) => {
    const at = (((start + i) % (2 * size)) + 2 * size) % (2 * size);
    return at < size ? at : 2 * size - 1 - at;
  });
}

function cropRgb(picture: Picture, columns: Int32Array, rows: Int32Array): Uint8Array {
  const { width, channels, data } = picture;
  const crop = new Uint8Array(columns.length * rows.length * 3);
  let to = 0;
  for (const y of rows) {
    for (let i = 0; i < columns.length; i++, to += 3) {
      const from = (y * width + columns[i]) * channels;
      crop[to] = data[from];
      crop[to + 1] = data[from + 1];
      crop[to + 2] = data[from + 2];
    }
  }
  return crop;
}

function cropMask(mask: Mask, columns: Int32Array, rows: Int32Array): Uint8Array {
  const crop = new Uint8Array(columns.length * rows.length);
  let to = 0;
  for (const y of rows) {
    for (let i = 0; i < columns.length; i++) crop[to++] = mask.data[y * mask.width + columns[i]];
  }
  return crop;
}

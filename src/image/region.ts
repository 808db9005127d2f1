import { smoothFill } from './fill.ts';
import type { Box, Mask, Picture } from './picture.ts';
import { resizeRgb } from './resize.ts';

/**
 * Converts a box of the picture to the network's input: [3, R, R], channels red, green, blue, values -1..1 (byte b
 * becomes b / 127.5 - 1).
 *
 * The box is resized to R x R (see resizeRgb), or copied exactly if it has this size. Outside the picture it is padded
 * with mirrored pixels. Alpha is ignored. With a mask, the hole is first replaced by a smooth extension of its
 * surroundings, because resizing would mix its old content into known pixels. The result is therefore independent of
 * the old content.
 */
export async function pictureToTensor(
  picture: Picture,
  box: Box,
  resolution: number,
  mask?: Mask,
): Promise<Float32Array> {
  const columns = mirrored(box.left, box.width, picture.width);
  const rows = mirrored(box.top, box.height, picture.height);
  const crop = cropRgb(picture, columns, rows);
  if (mask) smoothFill(crop, cropMask(mask, columns, rows), box.width, box.height);
  const rgb = await resizeRgb(crop, box, { width: resolution, height: resolution });
  const plane = resolution * resolution;
  const tensor = new Float32Array(3 * plane);
  for (let p = 0; p < plane; p++) {
    for (let c = 0; c < 3; c++) tensor[c * plane + p] = rgb[p * 3 + c] / 127.5 - 1;
  }
  return tensor;
}

/**
 * Converts a box of the mask to the network's input: [R, R], 1 where the pixel overlaps any hole pixel of the box, else
 * 0. No unknown pixel is therefore presented to the network as known. Outside the picture the mask is 0.
 */
export function maskToTensor(mask: Mask, box: Box, resolution: number): Float32Array {
  const tensor = new Float32Array(resolution * resolution);
  const firstX = Math.max(0, -box.left);
  const endX = Math.min(box.width, mask.width - box.left);
  const endY = Math.min(box.height, mask.height - box.top);
  const columns = cells(box.width, resolution);
  const rows = cells(box.height, resolution);
  for (let y = Math.max(0, -box.top); y < endY; y++) {
    const source = (y + box.top) * mask.width + box.left;
    for (let x = firstX; x < endX; x++) {
      if (mask.data[source + x] === 0) continue;
      for (let row = rows.first[y]; row <= rows.last[y]; row++) {
        tensor.fill(1, row * resolution + columns.first[x], row * resolution + columns.last[x] + 1);
      }
    }
  }
  return tensor;
}

/** Converts [3, R, R] to an R x R picture, the inverse of pictureToTensor. Values outside -1..1 are clipped. */
export function tensorToPicture(tensor: Float32Array, resolution: number): Picture {
  const plane = resolution * resolution;
  const data = new Uint8ClampedArray(plane * 3);
  for (let p = 0; p < plane; p++) {
    for (let c = 0; c < 3; c++) data[p * 3 + c] = (tensor[c * plane + p] + 1) * 127.5;
  }
  return { width: resolution, height: resolution, channels: 3, data: new Uint8Array(data.buffer) };
}

/** The first and last of `count` equal cells that each pixel overlaps, on a line of `length` pixels. */
function cells(length: number, count: number): { first: Int32Array; last: Int32Array } {
  return {
    first: Int32Array.from({ length }, (_, i) => Math.floor((i * count) / length)),
    last: Int32Array.from({ length }, (_, i) => Math.floor(((i + 1) * count - 1) / length)),
  };
}

/** Source indices of pixels start .. start + length - 1, on a line of `size` pixels padded with its mirror images. */
function mirrored(start: number, length: number, size: number): Int32Array {
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

import type { Box } from '../picture.ts';

/** The part of a tensor [C, height, width] over `canvas` that lies in `box`, a box of the same level inside the canvas. */
export function cropTensor(values: Float32Array, canvas: Box, box: Box): Float32Array {
  const planes = values.length / (canvas.width * canvas.height);
  const crop = new Float32Array(planes * box.width * box.height);
  let to = 0;
  for (let plane = 0; plane < planes; plane++) {
    for (let y = 0; y < box.height; y++, to += box.width) {
      const row = plane * canvas.height + box.top - canvas.top + y;
      const from = row * canvas.width + box.left - canvas.left;
      crop.set(values.subarray(from, from + box.width), to);
    }
  }
  return crop;
}

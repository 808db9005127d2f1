const STRAIGHT = 1;
const DIAGONAL = 4 / 3;

/**
 * Distance transform of a hole: for each pixel, the distance in pixels to the nearest known pixel. It is 0 for known
 * pixels, and infinite everywhere if no pixel is known. The picture's border does not count as known. Computed with the
 * 3-4 chamfer metric in two passes (Borgefors 1986); the error is at most 8 %.
 *
 * @param hole width * height bytes, 255 in the hole, 0 where known
 * @returns width * height distances
 */
export function distanceToKnown(hole: Uint8Array, width: number, height: number): Float32Array {
  const distance = new Float32Array(hole.length);
  for (let p = 0; p < hole.length; p++) if (hole[p] !== 0) distance[p] = Number.POSITIVE_INFINITY;

  /** Updates the distance of pixel (x, y) from its neighbours that this pass has visited already. */
  const visit = (x: number, y: number, back: 1 | -1) => {
    const p = y * width + x;
    let d = distance[p];
    if (d === 0) return;
    if (x + back >= 0 && x + back < width) d = Math.min(d, distance[p + back] + STRAIGHT);
    if (y + back >= 0 && y + back < height) {
      const q = p + back * width;
      d = Math.min(d, distance[q] + STRAIGHT);
      if (x > 0) d = Math.min(d, distance[q - 1] + DIAGONAL);
      if (x < width - 1) d = Math.min(d, distance[q + 1] + DIAGONAL);
    }
    distance[p] = d;
  };
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) visit(x, y, -1);
  for (let y = height - 1; y >= 0; y--) for (let x = width - 1; x >= 0; x--) visit(x, y, 1);
  return distance;
}

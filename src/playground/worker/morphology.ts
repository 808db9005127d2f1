import type { Pixels } from './tiles.ts';

/** Pixels with at least this value belong to the hole. */
const HOLE = 128;
const FAR = 1e20;

/**
 * Grows the hole by `by` pixels in every direction, or shrinks it where `by` is negative. The result is 0 or 255: soft
 * edges become hard. Distances are Euclidean and exact (Felzenszwalb and Huttenlocher 2012).
 */
export function grow({ width, height, data }: Pixels, by: number): Uint8Array {
  const towards = by > 0; // growing: the distance to the hole; shrinking: to what is kept
  const squares = new Float64Array(width * height);
  for (let i = 0; i < squares.length; i++) squares[i] = data[i] >= HOLE === towards ? 0 : FAR;
  const line = new Float64Array(Math.max(width, height));
  const out = new Float64Array(line.length);
  const scratch = { sites: new Int32Array(line.length), borders: new Float64Array(line.length + 1) };
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) line[y] = squares[y * width + x];
    distances(line, out, height, scratch);
    for (let y = 0; y < height; y++) squares[y * width + x] = out[y];
  }
  const result = new Uint8Array(data.length);
  const limit = by * by;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) line[x] = squares[y * width + x];
    distances(line, out, width, scratch);
    for (let x = 0; x < width; x++) result[y * width + x] = out[x] <= limit === towards ? 255 : 0;
  }
  return result;
}

/** The lower envelope of the parabolas (x - q)^2 + line[q], for x in 0..length-1. */
function distances(
  line: Float64Array,
  out: Float64Array,
  length: number,
  { sites, borders }: { sites: Int32Array; borders: Float64Array },
) {
  let last = 0;
  sites[0] = 0;
  borders[0] = -FAR;
  borders[1] = FAR;
  for (let q = 1; q < length; q++) {
    let border = crossing(line, sites[last], q);
    while (border <= borders[last]) border = crossing(line, sites[--last], q);
    last++;
    sites[last] = q;
    borders[last] = border;
    borders[last + 1] = FAR;
  }
  last = 0;
  for (let x = 0; x < length; x++) {
    while (borders[last + 1] < x) last++;
    out[x] = (x - sites[last]) ** 2 + line[sites[last]];
  }
}

const crossing = (line: Float64Array, p: number, q: number) =>
  (line[q] + q * q - (line[p] + p * p)) / (2 * q - 2 * p);

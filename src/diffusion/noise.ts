/**
 * Identifies one draw of noise. The generator is counter-based (Philox 4x32-10, Salmon et al. 2011) and has no state:
 * the same key always gives the same numbers, independently of earlier draws and of the batch.
 */
export interface NoiseKey {
  /** 0..2^32-1 */
  seed: number;
  /** Index of the candidate, 0 or more. */
  candidate: number;
  /** Index of the draw: 0 for x_T, i + 1 for the noise that step i adds. */
  step: number;
}

const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;
const ROUNDS = 10;

/** Philox 4x32-10: four 32-bit words for a 128-bit counter and a 64-bit key, written to `out`. */
export function philox(
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
  out: Uint32Array,
) {
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = mulHigh(M0, c0);
    const low0 = Math.imul(M0, c0);
    const high1 = mulHigh(M1, c2);
    const low1 = Math.imul(M1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + W0) | 0;
    k1 = (k1 + W1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** The upper 32 bits of the unsigned 64-bit product, from 16-bit halves: BigInt would be slow in this inner loop. */
function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const cross = aHigh * bLow + ((aLow * bLow) >>> 16);
  const middle = aLow * bHigh + (cross & 0xffff);
  // All sums are whole numbers below 2^32, which a double holds exactly; `| 0` converts the result to 32 bits.
  return (aHigh * bHigh + Math.floor(cross / 0x10000) + Math.floor(middle / 0x10000)) | 0;
}

const UNIT = 2 ** -32;

/** `length` independent standard normal numbers; a pure function of the key. */
export function gaussian(key: NoiseKey, length: number): Float32Array {
  const out = new Float32Array(length);
  const words = new Uint32Array(4);
  const normals = new Float64Array(4);
  for (let i = 0; i < length; i += 4) {
    philox(i >>> 2, key.step, key.candidate, 0, key.seed, 0, words);
    boxMuller(words, normals);
    // Writes past the end of a typed array are ignored, so the last block needs no special case.
    for (let j = 0; j < 4; j++) out[i + j] = normals[j];
  }
  return out;
}

/** Where the noise of one pixel lies: column and row 0..65,535, and the level of an image pyramid, 0 or more. */
export interface NoisePosition {
  x: number;
  y: number;
  level: number;
}

/** Writes three independent standard normal numbers, one for each channel of a pixel, to the start of `out`. */
export function gaussianPixel(key: NoiseKey, { x, y, level }: NoisePosition, out: Float64Array): void {
  // The last word of the counter keeps these numbers apart from those of gaussian().
  philox(x + 0x10000 * y, key.step, key.candidate, level + 1, key.seed, 0, scratch);
  boxMuller(scratch, out);
}

const scratch = new Uint32Array(4);

/** Four independent standard normal numbers from four random words (Box & Muller 1958), written to `out`. */
function boxMuller(words: Uint32Array, out: Float64Array): void {
  for (let pair = 0; pair < 4; pair += 2) {
    // (w + 1/2) / 2^32 lies strictly between 0 and 1: its logarithm is finite.
    const radius = Math.sqrt(-2 * Math.log((words[pair] + 0.5) * UNIT));
    const angle = 2 * Math.PI * words[pair + 1] * UNIT;
    out[pair] = radius * Math.cos(angle);
    out[pair + 1] = radius * Math.sin(angle);
  }
}

import type { Size } from '../../image/picture.ts';
import type { Canvas } from './enlarge.ts';

/** The longer side of what is shown of a canvas, in pixels, at most. */
const MAX_SHOWN_SIDE = 512;
/** A noisy canvas with more pixels is not shown: noise is hard to compress, and does not survive being made smaller. */
const MAX_NOISY_PIXELS = 256 ** 2;

/** A canvas as progress events show it. */
export interface Shown extends Size {
  /** Where it lies. */
  canvas: Omit<Canvas, 'x0'>;
  /** [3, height, width] */
  x0: Float32Array;
}

/**
 * Makes a canvas smaller, by the least whole factor with which its longer side is at most 512 px: each pixel is the mean of
 * a block of pixels. What does not change is added up once, because a canvas may have as many pixels as the picture.
 */
export class Shrinker {
  readonly #canvas: Shown['canvas'];
  readonly #size: Size;
  /** Sums over the pixels of each block that do not change, [3, height, width], and the number of all its pixels. */
  readonly #sums: Float32Array;
  readonly #counts: Uint32Array;
  /** The block of each pixel that changes. */
  readonly #blocks: Int32Array;

  /** `changing`: places in the canvas. */
  constructor({ x0, ...canvas }: Canvas, changing: Int32Array) {
    const { width, height } = canvas;
    const factor = Math.ceil(Math.max(width, height) / MAX_SHOWN_SIDE);
    const size = { width: Math.ceil(width / factor), height: Math.ceil(height / factor) };
    const area = size.width * size.height;
    const blockOf = (x: number, y: number) => Math.floor(y / factor) * size.width + Math.floor(x / factor);
    this.#canvas = canvas;
    this.#size = size;
    this.#sums = new Float32Array(3 * area);
    this.#counts = new Uint32Array(area);
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at++) {
        const block = blockOf(x, y);
        this.#counts[block]++;
        for (let c = 0; c < 3; c++) this.#sums[c * area + block] += x0[c * width * height + at];
      }
    }
    this.#blocks = changing.map((at) => blockOf(at % width, Math.floor(at / width)));
    for (const [i, at] of changing.entries())
      for (let c = 0; c < 3; c++) this.#sums[c * area + this.#blocks[i]] -= x0[c * width * height + at];
  }

  /** `values`: of the n pixels that change, [3, n]. */
  shown(values: Float32Array): Shown {
    const x0 = this.#sums.slice();
    const [area, n] = [this.#counts.length, this.#blocks.length];
    for (let c = 0; c < 3; c++) {
      for (let i = 0; i < n; i++) x0[c * area + this.#blocks[i]] += values[c * n + i];
      for (let block = 0; block < area; block++) x0[c * area + block] /= this.#counts[block];
    }
    return { canvas: this.#canvas, ...this.#size, x0 };
  }
}

export const shrunk = (canvas: Canvas): Shown =>
  new Shrinker(canvas, new Int32Array()).shown(new Float32Array());

export const isShownNoisy = ({ width, height }: Size): boolean => width * height <= MAX_NOISY_PIXELS;

/** A noisy canvas in full; undefined where it is too large. */
export function noisyShown({ x0, ...canvas }: Canvas): Shown | undefined {
  const { width, height } = canvas;
  return isShownNoisy(canvas) ? { canvas, width, height, x0 } : undefined;
}

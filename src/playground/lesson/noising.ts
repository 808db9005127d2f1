import { qSample } from '../../diffusion/forward.ts';
import { gaussian } from '../../diffusion/noise.ts';
import type { Schedule } from '../../diffusion/schedule.ts';

/** Longest side of the lesson's picture. */
export const SIDE = 128;

/** A picture and one noise for it: with them, x_t is known at every t, without asking the service. */
export interface Noising {
  size: number;
  x0: Float32Array;
  epsilon: Float32Array;
}

/** The noise that POST /v1/diffuse draws with this seed for a picture of this size. */
export function noising({ size, rgb }: { size: number; rgb: Float32Array }, seed: number): Noising {
  return { size, x0: rgb, epsilon: gaussian({ seed, candidate: 0, step: 0 }, rgb.length) };
}

export function paintSignal(canvas: HTMLCanvasElement, { size, x0 }: Noising): void {
  paint(canvas, size, x0);
}

export function paintNoise(canvas: HTMLCanvasElement, { size, epsilon }: Noising): void {
  paint(canvas, size, epsilon);
}

export function paintNoised(canvas: HTMLCanvasElement, schedule: Schedule, t: number, noised: Noising): void {
  paint(canvas, noised.size, qSample(schedule, noised.x0, t, noised.epsilon));
}

/** Paints three planes of values, -1..1; those beyond are cut off. */
function paint(canvas: HTMLCanvasElement, size: number, values: Float32Array): void {
  canvas.width = canvas.height = size;
  const image = new ImageData(size, size);
  for (let i = 0; i < size * size; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round((values[c * size * size + i] + 1) * 127.5);
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext('2d')?.putImageData(image, 0, 0);
}

import { type Claim, stretch } from './policy.ts';
import type { Trajectory } from './trajectory.ts';

/** An image that is being denoised, and the rows of its current step. */
export interface RequestImage<Request extends Claim> {
  request: Request;
  trajectory: Trajectory;
  /** Rows of the current step that nobody evaluates yet, by their index. */
  ready: number[];
  /** Rows of the current step whose result the trajectory has not taken yet. */
  left: number;
}

/** One evaluation that an image needs now. */
export interface Row<Image> {
  image: Image;
  /** Its index in the current step of the trajectory. */
  index: number;
}

/** Makes the rows of the trajectory's current step ready. */
export function begin(image: RequestImage<Claim>): void {
  image.left = image.trajectory.rows;
  image.ready = Array.from({ length: image.left }, (_, index) => index);
}

/**
 * Takes up to `count` ready rows with the strongest claims, among those that the network of the strongest one evaluates.
 * `images`: in order of arrival, which decides between equal claims.
 */
export function takeStrongest<Image extends RequestImage<Claim>>(
  images: Iterable<Image>,
  count: number,
  nowMs: number,
): Row<Image>[] {
  const waiting = [...images]
    .filter(({ ready }) => ready.length > 0)
    .map((image) => ({ image, claim: stretch(image.request, nowMs) }))
    .sort((a, b) => b.claim - a.claim);
  const rows: Row<Image>[] = [];
  for (const { image } of waiting) {
    if (image.trajectory.network !== waiting[0].image.trajectory.network) continue;
    for (const index of image.ready.splice(0, count - rows.length)) rows.push({ image, index });
    if (rows.length === count) break;
  }
  return rows;
}

/** Makes rows ready again that were taken and not evaluated, in front of the others. */
export function giveBack(rows: readonly Row<RequestImage<Claim>>[]): void {
  for (const { image, index } of rows.toReversed()) image.ready.unshift(index);
}

import type { Picture } from '../image/picture.ts';
import { tensorToPicture } from '../image/region.ts';
import { forEachInSlices } from '../scheduler/time-slices.ts';

/** Each tensor [3, R, R] in -1..1 as a picture of R x R pixels, with breaks for the event loop between them. */
export async function toPictures(tensors: readonly Float32Array[], resolution: number): Promise<Picture[]> {
  const pictures: Picture[] = [];
  await forEachInSlices(
    tensors,
    () => performance.now(),
    (tensor) => pictures.push(tensorToPicture(tensor, resolution)),
  );
  return pictures;
}

import { pictureBudget, type Room } from '../image/budget.ts';
import type { Limits } from '../image/decode.ts';
import { assertFits } from '../image/encode.ts';
import { assertSameSize } from '../image/mask.ts';
import { assertHoldable, inpaintNeeds, type PictureNeeds, sampleNeeds } from '../image/needs.ts';
import { type Mask, type Picture, PictureError } from '../image/picture.ts';
import {
  decodeMask,
  decodePicture,
  type EncodedPicture,
  inspect,
  maskFromAlpha,
  measureHole,
} from '../image/threads.ts';
import { traced } from '../tracing.ts';
import type { InpaintRequest, SampleRequest } from './request.ts';
import type { ResolvedRequest } from './resolve.ts';
import type { HoledPicture } from './types.ts';

/** A request whose pictures are decoded and checked: all that is left is to generate. */
export type PreparedRequest = PreparedSample | PreparedInpaint;

/** Memory for the request's pictures, from before they are decoded until the answer has been sent. */
export interface Reserved {
  room: Room;
  needs: PictureNeeds;
}

export interface PreparedSample extends ResolvedRequest, Reserved {
  request: SampleRequest;
}

export interface PreparedInpaint extends ResolvedRequest, Reserved {
  request: InpaintRequest;
  input: HoledPicture;
  decodeMs: number;
}

export interface PrepareOptions {
  /** Waits for memory until the signal aborts. */
  wait?: AbortSignal;
  /** Reserves what it takes to check the pictures, without room for results. */
  checkOnly?: boolean;
}

/**
 * Reserves memory for a request's pictures, then decodes and checks them. Whoever calls this releases the room.
 *
 * Rejects with PictureError, which names the field, and without `wait` with MemoryFullError.
 */
export async function prepare(
  resolved: ResolvedRequest,
  limits: Required<Limits>,
  options: PrepareOptions = {},
): Promise<PreparedRequest> {
  const { request } = resolved;
  if (request.task === 'sample') {
    const { resolution: side } = resolved.model.card;
    const needs = needsOf(resolved, { width: side, height: side }, (numImages) =>
      sampleNeeds(side * side, numImages, resolved.format),
    );
    return { ...resolved, request, needs, room: await reserve(needs, options) };
  }
  const started = performance.now();
  return traced('decode', async () => {
    const image = await inspect(request.image, 'image', limits);
    assertFits(image.header, resolved.format);
    const mask = request.mask && (await inspect(request.mask, 'mask', limits));
    const needs = needsOf(resolved, image.header, (numImages) =>
      inpaintNeeds(image.header, mask?.header, { numImages, format: resolved.format }),
    );
    const room = await reserve(needs, options);
    try {
      const input = await decode(image, mask, room);
      return { ...resolved, request, input, needs, room, decodeMs: performance.now() - started };
    } catch (error) {
      room.release();
      throw error;
    }
  });
}

/** Throws PictureError 'too-large' for a request that does not fit even while there is no other. */
function needsOf(
  { parameters: { numImages }, format }: ResolvedRequest,
  { width, height }: { width: number; height: number },
  needsFor: (numImages: number) => PictureNeeds,
): PictureNeeds {
  const needs = needsFor(numImages);
  const field = needsFor(1).total <= pictureBudget.holdable ? 'num_images' : 'image';
  assertHoldable(
    needs.total,
    field,
    `num_images ${numImages}, each of ${width} x ${height} pixels as ${format},`,
  );
  return needs;
}

async function reserve({ check, total }: PictureNeeds, { wait, checkOnly }: PrepareOptions): Promise<Room> {
  const bytes = checkOnly ? check : total;
  return wait ? pictureBudget.whenRoom(bytes, wait) : pictureBudget.reserve(bytes);
}

async function decode(
  image: EncodedPicture,
  mask: EncodedPicture | undefined,
  room: Room,
): Promise<HoledPicture> {
  const picture = await decodePicture(image, room);
  const hole = mask ? await decodeMask(mask, room) : await maskOf(picture);
  assertSameSize(picture, hole);
  return { picture, mask: hole, hole: await measureHole(hole) };
}

/** The transparent pixels of a picture that came without a mask. */
async function maskOf(picture: Picture): Promise<Mask> {
  if (picture.channels === 4) return maskFromAlpha(picture);
  throw new PictureError(
    'mask',
    'empty-mask',
    'send a mask, or an image with transparent pixels where the hole is',
  );
}

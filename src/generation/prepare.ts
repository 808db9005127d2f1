import type { Config } from '../config/settings.ts';
import { pictureBudget, type Room } from '../image/budget.ts';
import { assertFits } from '../image/encode.ts';
import type { Limits } from '../image/header.ts';
import { assertSameSize } from '../image/mask.ts';
import { assertHoldable, inpaintNeeds, type PictureNeeds, sampleNeeds } from '../image/needs.ts';
import { type Mask, type Picture, PictureError, square } from '../image/picture.ts';
import type { Plan } from '../image/regions/plan.ts';
import {
  decodeMask,
  decodePicture,
  type EncodedPicture,
  growMask,
  inspect,
  maskFromAlpha,
  measureHole,
} from '../image/threads.ts';
import { traced } from '../tracing.ts';
import { chooseRegion, type Region } from './region.ts';
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
  region: Region;
  decodeMs: number;
}

export interface GenerationLimits extends Required<Limits> {
  /** Evaluations for one image, where a hole is filled in windows. */
  maxEvaluations: number;
}

/** The limits that the settings give. */
export function generationLimits(config: Config): GenerationLimits {
  return {
    maxPixels: config.MAX_PIXELS,
    maxSide: config.MAX_SIDE,
    timeoutMs: config.DECODE_TIMEOUT_MS,
    maxEvaluations: config.MAX_EVALUATIONS,
  };
}

export interface PrepareOptions {
  /** Waits for memory until the signal aborts. */
  wait?: AbortSignal;
  /** Reserves what it takes to check the pictures, without room for results. */
  checkOnly?: boolean;
}

/**
 * Reserves memory for a request's pictures, then decodes and checks them, and plans how the hole is filled. Whoever calls
 * this releases the room.
 *
 * Rejects with PictureError or InvalidParameterError, which name the field, and without `wait` with MemoryFullError.
 */
export async function prepare(
  resolved: ResolvedRequest,
  limits: GenerationLimits,
  options: PrepareOptions = {},
): Promise<PreparedRequest> {
  const { request } = resolved;
  if (request.task === 'inpaint')
    return traced('decode', () => prepareInpaint({ ...resolved, request }, limits, options));
  const { resolution: side } = resolved.model.card;
  const needs = needsOf(resolved, square(side), (numImages) => sampleNeeds(side, numImages, resolved.format));
  return { ...resolved, request, needs, room: await reserve(needs, options) };
}

async function prepareInpaint(
  resolved: ResolvedRequest & { request: InpaintRequest },
  limits: GenerationLimits,
  options: PrepareOptions,
): Promise<PreparedInpaint> {
  const { request, model, parameters, format } = resolved;
  const { strategy, padding, mask_grow } = request;
  const started = performance.now();
  const image = await inspect(request.image, 'image', limits);
  assertFits(image.header, format);
  const mask = request.mask && (await inspect(request.mask, 'mask', limits));
  const needsWith = (windows?: { plan: Plan; size: Picture }) =>
    needsOf(resolved, image.header, (numImages) =>
      inpaintNeeds(image.header, mask?.header, { numImages, format, grow: Boolean(mask_grow), windows }),
    );
  let needs = needsWith();
  for (;;) {
    const room = await reserve(needs, options);
    try {
      const input = await decode(image, mask, mask_grow, room);
      const decodeMs = performance.now() - started;
      const region = await chooseRegion(
        model,
        input,
        { strategy, padding, ...parameters },
        limits.maxEvaluations,
      );
      const prepared = { ...resolved, request, input, region, room, decodeMs };
      // What it takes to fill the hole in windows depends on its shape.
      if (region.strategy !== 'windows') return { ...prepared, needs };
      needs = needsWith({ plan: region.plan, size: input.picture });
      if (options.checkOnly || room.bytes >= needs.total || room.resize(needs.total))
        return { ...prepared, needs };
    } catch (error) {
      room.release();
      throw error;
    }
    // Whoever waits for more must not hold anything: two that do could wait for each other.
    room.release();
  }
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
  grow: number,
  room: Room,
): Promise<HoledPicture> {
  const picture = await decodePicture(image, room);
  const sent = mask ? await decodeMask(mask, room) : await maskOf(picture);
  assertSameSize(picture, sent);
  const hole = grow ? await growMask(sent, grow) : sent;
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

import type { Config } from '../config/settings.ts';
import { wholeBox } from '../image/box.ts';
import { pictureBudget, type Room } from '../image/budget.ts';
import { assertFits } from '../image/encode.ts';
import type { Limits } from '../image/header.ts';
import { assertSameSize } from '../image/mask.ts';
import { assertHoldable, inpaintNeeds, type PictureNeeds, sampleNeeds, varyNeeds } from '../image/needs.ts';
import { type Mask, type Picture, PictureError, type Size, square } from '../image/picture.ts';
import type { Plan } from '../image/regions/plan.ts';
import {
  decodeMask,
  decodePicture,
  type EncodedPicture,
  growMask,
  inspect,
  maskFromAlpha,
  measureHole,
  pictureToTensor,
} from '../image/threads.ts';
import { traced } from '../tracing.ts';
import { InvalidParameterError } from './errors.ts';
import { assertEvaluations, evaluationsOfSample } from './evaluations.ts';
import type { HoledPicture } from './parameters.ts';
import { chooseRegion, type Region } from './region.ts';
import type { InpaintRequest, SampleRequest } from './request.ts';
import type { ResolvedRequest } from './resolve.ts';
import { assertProportional, assertWithin } from './size.ts';
import type { Start } from './trajectories/create.ts';

/** Share of the steps for a picture to start from: the result resembles it, and has other details. */
const DEFAULT_STRENGTH = 0.6;

/** A request whose pictures are decoded and checked: all that is left is to generate. */
export type PreparedRequest = PreparedSample | PreparedInpaint;

/** Memory for the request's pictures, from before they are decoded until the answer has been sent. */
export interface Reserved {
  room: Room;
  needs: PictureNeeds;
  /** Size of the results, if it is not the size at which they are generated. */
  size?: Size;
  /** Milliseconds that decoding its pictures took, with the wait for memory. */
  decodeMs: number;
}

export interface PreparedSample extends ResolvedRequest, Reserved {
  request: SampleRequest;
  /** The picture that it starts from. */
  start?: Start;
}

export interface PreparedInpaint extends ResolvedRequest, Reserved {
  request: InpaintRequest;
  input: HoledPicture;
  region: Region;
}

/** The size of a request's results. */
export function resultSize(prepared: PreparedRequest): Size {
  if (prepared.size) return prepared.size;
  return 'input' in prepared ? prepared.input.picture : square(prepared.model.card.resolution);
}

export interface GenerationLimits extends Required<Limits> {
  /** Network evaluations for one image. */
  maxEvaluations: number;
  /** Bytes of memory; as many as all requests together may hold when absent. */
  maxBytes?: number;
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
  const { image, strength = DEFAULT_STRENGTH } = request;
  const start = image && { image, strength };
  assertEvaluations(evaluationsOfSample(resolved.parameters.steps, start), limits.maxEvaluations);
  if (start)
    return traced('decode', () => prepareVariation({ ...resolved, request }, start, limits, options));
  const { size } = request;
  const { resolution: side } = resolved.model.card;
  assertWithin(size, limits);
  assertProportional(size, square(side));
  const needs = needsOf(resolved, limits, square(side), (numImages, size) =>
    sampleNeeds(side, { numImages, format: resolved.format, size }),
  );
  return { ...resolved, request, size, needs, room: await reserve(needs, options), decodeMs: 0 };
}

/** A sample that starts from a picture. The picture must be square, as the network's pictures are. */
async function prepareVariation(
  resolved: ResolvedRequest & { request: SampleRequest },
  start: { image: Buffer; strength: number },
  limits: GenerationLimits,
  options: PrepareOptions,
): Promise<PreparedSample> {
  const { request, model, format } = resolved;
  const started = performance.now();
  const { resolution: side } = model.card;
  const image = await inspect(start.image, 'image', limits);
  const { width, height } = image.header;
  if (width !== height)
    throw new InvalidParameterError('image', `image is ${width} x ${height} pixels; it must be square`);
  assertWithin(request.size, limits);
  assertProportional(request.size, image.header);
  const size = request.size ?? { width, height };
  assertFits(size, format);
  const needs = needsOf(resolved, limits, image.header, (numImages, size) =>
    varyNeeds(image.header, side, { numImages, format, size }),
  );
  const room = await reserve(needs, options);
  try {
    const picture = await decodePicture(image, room);
    const x0 = await pictureToTensor(picture, wholeBox(image.header), square(side));
    const decodeMs = performance.now() - started;
    return { ...resolved, request, size, start: { x0, strength: start.strength }, needs, room, decodeMs };
  } catch (error) {
    room.release();
    throw error;
  }
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
  const { size } = request;
  assertWithin(size, limits);
  assertFits(size ?? image.header, format);
  const partial = request.partial_images ? 1 : 0; // one at a time
  const mask = request.mask && (await inspect(request.mask, 'mask', limits));
  const wanted = { format, grow: Boolean(mask_grow) };
  const needsWith = (plan?: Plan) =>
    needsOf(resolved, limits, image.header, (numImages, size) =>
      inpaintNeeds(image.header, mask?.header, { ...wanted, size, numImages: numImages + partial, plan }),
    );
  let needs = needsWith();
  for (;;) {
    const room = await reserve(needs, options);
    try {
      const input = await decode(image, mask, request, room);
      assertProportional(size, input.picture);
      const decodeMs = performance.now() - started;
      const region = await chooseRegion(
        model,
        input,
        { strategy, padding, steps: parameters.steps },
        limits.maxEvaluations,
      );
      const prepared = { ...resolved, request, size, input, region, room, decodeMs };
      // What it takes to fill the hole in windows depends on its shape.
      if (region.strategy !== 'windows') return { ...prepared, needs };
      needs = needsWith(region.plan);
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

/**
 * Throws PictureError 'too-large' for a request that does not fit even while there is no other.
 *
 * @param own size of the results where the request names none
 */
function needsOf(
  { request: { size }, parameters: { numImages }, format }: ResolvedRequest,
  { maxBytes = pictureBudget.holdable }: GenerationLimits,
  own: Size,
  needsFor: (numImages: number, size?: Size) => PictureNeeds,
): PictureNeeds {
  const needs = needsFor(numImages, size);
  const one = needsFor(1, size);
  const pixels = ({ width, height }: Size) => `of ${width} x ${height} pixels as ${format}`;
  const assertFitting = ({ total }: PictureNeeds, field: string, what: string) =>
    assertHoldable(total, field, `${field} ${what}`, maxBytes);
  if (size && needsFor(1).total <= maxBytes) assertFitting(one, 'size', pixels(size));
  assertFitting(one, 'image', pixels(own));
  assertFitting(needs, 'num_images', `${numImages}, each ${pixels(size ?? own)},`);
  return needs;
}

async function reserve({ check, total }: PictureNeeds, { wait, checkOnly }: PrepareOptions): Promise<Room> {
  const bytes = checkOnly ? check : total;
  return wait ? pictureBudget.whenRoom(bytes, wait) : pictureBudget.reserve(bytes);
}

async function decode(
  image: EncodedPicture,
  mask: EncodedPicture | undefined,
  { mask_reading, mask_grow }: InpaintRequest,
  room: Room,
): Promise<HoledPicture> {
  const [picture, decoded] = await both(
    decodePicture(image, room),
    mask && decodeMask(mask, room, mask_reading),
  );
  const sent = decoded ?? (await maskOf(picture));
  assertSameSize(picture, sent);
  const hole = mask_grow ? await growMask(sent, mask_grow) : sent;
  return { picture, mask: hole, hole: await measureHole(hole) };
}

/** Both results. Rejects with the error of the first where both fail, whichever fails earlier. */
async function both<A, B>(first: Promise<A>, second: B | Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([first, second]);
  return [await first, await second];
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

import type { Config } from '../config/settings.ts';
import type { Limits } from '../image/decode.ts';
import { assertFits } from '../image/encode.ts';
import { assertSameSize } from '../image/mask.ts';
import { type Mask, type Picture, PictureError } from '../image/picture.ts';
import { decodeMask, decodePicture, growMask, maskFromAlpha, measureHole } from '../image/threads.ts';
import { traced } from '../tracing.ts';
import { chooseRegion, type Region } from './region.ts';
import type { InpaintRequest, SampleRequest } from './request.ts';
import type { ResolvedRequest } from './resolve.ts';
import type { HoledPicture } from './types.ts';

/** A request whose pictures are decoded and checked: all that is left is to generate. */
export type PreparedRequest = PreparedSample | PreparedInpaint;

export interface PreparedSample extends ResolvedRequest {
  request: SampleRequest;
}

export interface PreparedInpaint extends ResolvedRequest {
  request: InpaintRequest;
  input: HoledPicture;
  region: Region;
  decodeMs: number;
}

export interface GenerationLimits extends Limits {
  /** Evaluations for one image, where a hole is filled in windows. */
  maxEvaluations: number;
}

/** The limits that the settings give. */
export function generationLimits({ MAX_PIXELS, MAX_EVALUATIONS }: Config): GenerationLimits {
  return { maxPixels: MAX_PIXELS, maxEvaluations: MAX_EVALUATIONS };
}

/**
 * Decodes and checks a request's pictures, and plans how the hole is filled. Rejects with PictureError or
 * InvalidParameterError, which name the field.
 */
export async function prepare(resolved: ResolvedRequest, limits: GenerationLimits): Promise<PreparedRequest> {
  const { request, model, parameters } = resolved;
  if (request.task === 'sample') return { ...resolved, request };
  const started = performance.now();
  const input = await traced('decode', async () => {
    const picture = await decodePicture(request.image, 'image', limits);
    assertFits(picture, resolved.format);
    const sent = await maskOf(request, picture, limits);
    assertSameSize(picture, sent);
    const mask = request.mask_grow ? await growMask(sent, request.mask_grow) : sent;
    return { picture, mask, hole: await measureHole(mask) };
  });
  const decodeMs = performance.now() - started;
  const { strategy, padding } = request;
  const region = await chooseRegion(
    model,
    input,
    { strategy, padding, ...parameters },
    limits.maxEvaluations,
  );
  return { ...resolved, request, input, region, decodeMs };
}

/** The mask that was sent, else the picture's transparent pixels. */
async function maskOf(request: InpaintRequest, picture: Picture, limits: Limits): Promise<Mask> {
  if (request.mask) return decodeMask(request.mask, 'mask', limits);
  if (picture.channels === 4) return maskFromAlpha(picture);
  throw new PictureError(
    'mask',
    'empty-mask',
    'send a mask, or an image with transparent pixels where the hole is',
  );
}

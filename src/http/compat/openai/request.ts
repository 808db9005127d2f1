import { InvalidParameterError } from '../../../generation/errors.ts';
import type { InpaintRequest, SampleRequest } from '../../../generation/request.ts';
import type { Size } from '../../../image/picture.ts';
import type { EditBody, EditFormBody, EditJsonBody, GenerateBody, VariationBody } from './schemas.ts';

/** The generation request that a body stands for. Its seed gives the picture that `/v1/inpaint` gives for it. */
export function editRequest(body: EditBody): InpaintRequest {
  const { strategy, padding, mask_blur } = body;
  const sent = fileOf(body.mask_image);
  return {
    ...common(body),
    task: 'inpaint',
    image: pictureOf(body),
    mask: sent ?? fileOf(body.mask),
    mask_reading: sent ? 'luminance' : 'alpha',
    partial_images: body.stream ? body.partial_images : 0,
    strategy,
    padding,
    mask_grow: 0,
    mask_blur,
    metadata: 'strip',
  };
}

export function generateRequest(body: GenerateBody): SampleRequest {
  return { ...common(body), task: 'sample', partial_images: body.stream ? body.partial_images : 0 };
}

export function variationRequest(body: VariationBody): SampleRequest {
  const { image, strength } = body;
  return { ...common(body), task: 'sample', image, strength };
}

function common(body: EditBody | GenerateBody | VariationBody): Omit<SampleRequest, 'task'> {
  const { model, n, seed, sampler, steps, num_inference_steps, output_format, output_compression } = body;
  if (steps !== undefined && num_inference_steps !== undefined && steps !== num_inference_steps)
    throw new InvalidParameterError(
      'num_inference_steps',
      'num_inference_steps is another name for steps; send one of them, or the same number in both',
    );
  return {
    model: model === '' ? undefined : model,
    seed,
    num_images: n,
    sampler,
    steps: steps ?? num_inference_steps,
    priority: 'normal',
    preview_every: 0,
    format: output_format,
    quality: output_compression === undefined ? undefined : Math.max(1, output_compression),
    size: sizeOf(body.size),
  };
}

/** `512x512` as numbers. */
function sizeOf(text = 'auto'): Size | undefined {
  if (text === 'auto') return undefined;
  const [width, height] = text.split('x').map(Number);
  return { width, height };
}

const isJson = (body: EditBody): body is EditJsonBody => body.images !== undefined;

const pictureOf = (body: EditBody): Buffer =>
  isJson(body) ? body.images[0].image_url : (body as EditFormBody).image[0];

/** A file of a form, or the picture of a reference. */
const fileOf = (sent: Buffer | { image_url: Buffer } | undefined) =>
  sent && (Buffer.isBuffer(sent) ? sent : sent.image_url);

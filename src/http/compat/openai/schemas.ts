import { z } from 'zod';
import { MOST_IMAGES } from '../../../config/queue-shares.ts';
import { OUTPUT_FORMATS } from '../../../image/picture.ts';
import { base64Picture, filePart, inpainting, model, NO_FILE, sampling, seed } from '../../schemas/fields.ts';
import { request, response } from '../../schemas/named.ts';

const ignored = (what: string) =>
  z
    .unknown()
    .optional()
    .meta({ type: 'string', description: `${what}. Has no effect` });

/** Parameters that have no effect. Any others are accepted too. */
const without = {
  prompt: ignored('Text: this service draws what fits the picture'),
  quality: z.string().optional().meta({ description: 'Has no effect; `steps` sets the quality' }),
  user: ignored('Identifier of an end user'),
};

const generating = {
  model,
  n: z
    .int()
    .min(1)
    .max(MOST_IMAGES.request)
    .default(1)
    .meta({ description: 'Number of pictures, each with its own noise' }),
  size: z
    .string()
    .regex(/^(auto|[1-9]\d{0,4}x[1-9]\d{0,4})$/, 'must be auto, or width and height such as 512x512')
    .optional()
    .meta({
      description:
        'Size of the result, as `WIDTHxHEIGHT` in the proportions of the picture: it is resized at the end. `auto` or ' +
        'absent: its own',
      examples: ['auto', '512x512'],
    }),
  output_format: z.enum(OUTPUT_FORMATS).default('png'),
  output_compression: z
    .int()
    .min(0)
    .max(100)
    .optional()
    .meta({ description: 'Quality of jpeg and webp; webp at 100 is lossless' }),
  response_format: z
    .literal('b64_json', { error: 'must be b64_json: this service keeps no files, and has no URLs for them' })
    .optional()
    .meta({ description: 'Pictures are always answered as base64' }),
  background: z
    .enum(['auto', 'opaque'], { error: 'must be auto or opaque: fills are opaque' })
    .optional()
    .meta({ description: 'Fills are opaque; what is transparent elsewhere stays so' }),
  seed,
  steps: sampling.steps,
  num_inference_steps: sampling.steps.meta({ description: 'Another name for `steps`' }),
  sampler: sampling.sampler,
  ...without,
};

const streaming = {
  stream: z
    .boolean()
    .default(false)
    .meta({ description: 'Answer with server-sent events, whatever the Accept header says' }),
  partial_images: z
    .int()
    .min(0)
    .max(3)
    .default(0)
    .meta({ description: 'In a stream: maximum number of intermediate pictures before the first result' }),
};

const MASK =
  'The hole is transparent (alpha below 128); colours do not count. When absent, the transparent pixels of the image are ' +
  'the hole';
const MASK_IMAGE = 'A mask whose hole is white, as in `/v1/inpaint`; in place of `mask`';
const ONE = 'one picture can be filled: send one';

const editing = {
  ...generating,
  ...streaming,
  strategy: inpainting.strategy,
  padding: inpainting.padding,
  mask_blur: inpainting.mask_blur,
};

/** Either mask, but not both; and no `markup`, which would be ignored otherwise. */
function oneMask(
  body: { mask?: unknown; mask_image?: unknown; markup?: unknown },
  context: { addIssue(issue: { code: 'custom'; path: string[]; message: string }): void },
) {
  if (body.markup !== undefined)
    context.addIssue({
      code: 'custom',
      path: ['markup'],
      message: 'is not supported: send the hole as mask',
    });
  if (body.mask === undefined || body.mask_image === undefined) return;
  context.addIssue({ code: 'custom', path: ['mask_image'], message: 'send mask or mask_image, not both' });
}

export const editForm = request(
  'ImageEditForm',
  z
    .looseObject({
      image: z
        .array(filePart, NO_FILE)
        .min(1)
        .max(1, { error: ({ input }) => ((input as unknown[]).every(Buffer.isBuffer) ? ONE : NO_FILE) }) // a text is a list of its parts
        .meta({ description: 'The picture; `image[]` is accepted too' }),
      mask: filePart.optional().describe(MASK),
      mask_image: filePart.optional().describe(MASK_IMAGE),
      ...editing,
    })
    .superRefine(oneMask),
);

const reference = z
  .looseObject({
    image_url: base64Picture.meta({
      description: 'The file as a data: URL. Nothing is fetched from elsewhere',
    }),
  })
  .meta({ description: 'A `file_id` is not supported' });

export const editJson = request(
  'ImageEditJson',
  z
    .looseObject({
      images: z.array(reference).min(1).max(1, ONE),
      mask: reference.optional().describe(MASK),
      mask_image: reference.optional().describe(MASK_IMAGE),
      ...editing,
    })
    .superRefine(oneMask),
);
export type EditFormBody = z.output<typeof editForm>;
export type EditJsonBody = z.output<typeof editJson>;
export type EditBody = EditFormBody | EditJsonBody;

export const generateJson = request('ImageGenerationJson', z.looseObject({ ...generating, ...streaming }));
export type GenerateBody = z.output<typeof generateJson>;

export const variationForm = request(
  'ImageVariationForm',
  z.looseObject({
    image: filePart.meta({ description: 'A square picture' }),
    strength: z.number().gt(0).max(1).optional().meta({
      description:
        'Share of the denoising steps that are taken: small values keep the picture, 1 draws another one. 0.6 when absent',
    }),
    ...generating,
  }),
);
export type VariationBody = z.output<typeof variationForm>;

const tokens = z.literal(0);

export const imagesResponse = response(
  'Images',
  z.object({
    created: z.int().meta({ description: 'Seconds since 1970' }),
    size: z.string().meta({ examples: ['96x80'] }),
    output_format: z.enum(OUTPUT_FORMATS),
    quality: z.string(),
    background: z.string(),
    usage: z
      .object({
        total_tokens: tokens,
        input_tokens: tokens,
        output_tokens: tokens,
        input_tokens_details: z.object({ text_tokens: tokens, image_tokens: tokens }),
      })
      .meta({ description: 'This service has no tokens' }),
    seed: z.int().meta({ description: 'The same seed gives the same pictures' }),
    data: z.array(z.object({ b64_json: z.string().meta({ contentEncoding: 'base64' }) })),
  }),
);

import { z } from 'zod';
import { MOST_IMAGES } from '../../config/queue-shares.ts';
import { SAMPLER_NAMES } from '../../diffusion/samplers/index.ts';
import { STRATEGIES } from '../../generation/parameters.ts';
import { METADATA } from '../../generation/request.ts';
import { OUTPUT_FORMATS } from '../../image/picture.ts';
import { MAX_TIMESTEPS } from '../../model/fields.ts';
import { PRIORITIES } from '../../scheduler/policy.ts';
import { NOT_BASE64 } from '../json-body.ts';

/** A picture of 16 x 16 pixels, whose middle is transparent, for the examples of the documentation. */
export const EXAMPLE_PICTURE =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8/9hAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAALElEQVQ4' +
  'y2M4MS3vPyWYYdQA7AYw4ACD1YAKIAMN4zQAm9rBaQApeNSAvP8AaypZrwVG4AAAAAAASUVORK5CYII=';

/** A picture in JSON: base64, or a data: URL of it. http/json-body.ts has decoded it. */
export const base64Picture = z
  .custom<Buffer>((value) => Buffer.isBuffer(value), {
    error: ({ input }) =>
      input === NOT_BASE64
        ? 'is neither base64 nor a data: URL of base64'
        : 'must be a picture as base64, or as a data: URL',
  })
  .meta({
    type: 'string',
    description: 'The file as base64, or as a data: URL',
    examples: [EXAMPLE_PICTURE],
  });

export const NO_FILE = 'must be a file (a part with a filename)';

/** A picture in a form: a file part. */
export const filePart = z
  .custom<Buffer>((value) => Buffer.isBuffer(value), { error: NO_FILE })
  .meta({ type: 'string', format: 'binary', description: 'PNG, JPEG, WebP, AVIF, TIFF or GIF' });

export const model = z
  .string()
  .max(200)
  .optional()
  .meta({
    description:
      '`id` or `id@version`; the default model when absent. Without a version: the default version of that id, else its newest',
    examples: ['celeba-inpaint-64'],
  });

export const MAX_SEED = 2 ** 32 - 1;

export const seed = z
  .int()
  .min(0)
  .max(MAX_SEED)
  .optional()
  .meta({
    description: 'The same seed gives the same picture. Drawn at random and reported when absent',
    examples: [7],
  });

export const output = {
  format: z
    .enum(OUTPUT_FORMATS)
    .optional()
    .meta({ description: 'When absent: what Accept prefers, else png' }),
  quality: z
    .int()
    .min(1)
    .max(100)
    .optional()
    .meta({
      description:
        'For jpeg and webp; webp of quality 100 is lossless. When absent: 90, or 100 for the webp of an image that is ' +
        'lossless itself (PNG, GIF, most TIFF, lossless WebP)',
      examples: [90],
    }),
};

/** How pictures are generated. Absent values come from the model's card. */
export const sampling = {
  model,
  seed,
  num_images: z
    .int()
    .min(1)
    .max(MOST_IMAGES.job)
    .default(1)
    .meta({ description: 'Number of candidates, each with its own noise' }),
  sampler: z
    .enum(SAMPLER_NAMES)
    .optional()
    .meta({ description: "The model card's default when absent", examples: ['dpmpp_2m'] }),
  steps: z
    .int()
    .min(1)
    .max(MAX_TIMESTEPS)
    .optional()
    .meta({
      description:
        "Evaluations of the network, 1 to the model's T, of each window where a hole is filled in windows. More is slower and " +
        "finer; the model card's default when absent. With 6 or more, parts of a hole that are up to 8 pixels thick take 3",
      examples: [12],
    }),
  eta: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .meta({ description: 'Share of fresh noise in each step of ddim; 0 is deterministic', examples: [0] }),
  preview_every: z
    .int()
    .min(0)
    .max(100_000)
    .default(0)
    .meta({
      description:
        'In a stream of events: number of evaluations of the network between two previews; 0: no previews. Evaluations of all ' +
        'windows and candidates are counted together. A preview is the current estimate of the part that is being filled, of ' +
        'at most 512 x 512 pixels. Previews of more than 256 x 256 are sent less often, so that they do not delay the fill',
    }),
  preview_noisy: z.boolean().default(false).meta({
    description:
      'With each preview of at most 256 x 256 pixels, also send the noisy picture x_t that it was estimated from',
  }),
  priority: z
    .enum(PRIORITIES)
    .default('normal')
    .meta({ description: 'Weight of the request while the service is busy' }),
};

/** How a hole is filled. */
export const filling = {
  strategy: z
    .enum(STRATEGIES)
    .default('auto')
    .meta({
      description:
        'What the model is shown. `windows`: parts of the picture at its own resolution, coarser first where the hole is ' +
        'large; `crop`: a square around the hole, shrunk; `resize`: the whole picture, shrunk. `auto` chooses; the answer ' +
        'says which',
    }),
  padding: z
    .int()
    .min(0)
    .max(10_000)
    .optional()
    .meta({
      description: 'With `crop`: pixels of context around the hole; the size of the hole when absent',
      examples: [32],
    }),
  mask_grow: z
    .int()
    .min(-256)
    .max(256)
    .default(0)
    .meta({ description: 'Pixels by which the hole is grown in every direction; negative shrinks it' }),
  mask_blur: z
    .int()
    .min(0)
    .max(256)
    .default(0)
    .meta({ description: 'Pixels over which the fill fades in, inside the hole only' }),
  metadata: z
    .enum(METADATA)
    .default('strip')
    .meta({
      description:
        'EXIF of the image, such as camera, time and place (GPS): `keep` copies it into the answer, without thumbnail and ' +
        'maker note, up to 64 kB. Density, ICC profile and colour chunks of a PNG are always kept',
    }),
};

export const inpainting = { ...sampling, ...filling, ...output };

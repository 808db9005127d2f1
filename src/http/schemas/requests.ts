import { z } from 'zod';
import { TASKS } from '../../generation/request.ts';
import { MAX_TIMESTEPS } from '../../model/fields.ts';
import {
  base64Picture,
  EXAMPLE_PICTURE,
  filePart,
  filling,
  inpainting,
  model,
  output,
  sampling,
  seed,
} from './fields.ts';
import { request } from './named.ts';

const MASK =
  'The hole is white (128 or more); a grey edge (down to 16) that is connected to it is filled in part. Black and ' +
  'transparent pixels are kept; in masks for the OpenAI API it is the other way round, and the transparent pixels are ' +
  'the hole. When absent, the transparent pixels of the image are the hole';

export const inpaintJson = request(
  'InpaintJson',
  z.strictObject({ image: base64Picture, mask: base64Picture.optional().describe(MASK), ...inpainting }),
  { image: EXAMPLE_PICTURE, seed: 7 },
);
export const inpaintForm = request(
  'InpaintForm',
  z.strictObject({ image: filePart, mask: filePart.optional().describe(MASK), ...inpainting }),
);
export type InpaintBody = z.output<typeof inpaintForm>;

export const sampleJson = request('SampleJson', z.strictObject({ ...sampling, ...output }), { seed: 7 });
export type SampleBody = z.output<typeof sampleJson>;

/** What only a job that fills takes, and the values of what is absent and has a default. */
const FILLS_ONLY = ['image', 'mask', ...Object.keys(filling)] as const;
const DEFAULTS: Record<string, unknown> = z.object(filling).parse({});

/** The rules of a job as JSON Schema, which generators of clients pass over. */
const RULES = {
  if: { properties: { task: { const: 'sample' } }, required: ['task'] },
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  then: {
    properties: Object.fromEntries(
      FILLS_ONLY.map((name) => [name, name in DEFAULTS && { const: DEFAULTS[name] }]),
    ),
  },
  else: { required: ['image'] },
};

/** With one, fetch() would refuse to call the webhook. What is no URL has another error. */
function hasNoLogin(url: string): boolean {
  if (!URL.canParse(url)) return true;
  const { username, password } = new URL(url);
  return `${username}${password}` === '';
}

/** A job is a request of either task. What the task does not use is refused, except for a default that is sent. */
function jobBody<Picture extends z.ZodType<Buffer>>(picture: Picture) {
  return z
    .strictObject({
      task: z.enum(TASKS).default('inpaint'),
      image: picture.optional(),
      mask: picture.optional().describe(MASK),
      webhook: z
        .url({ protocol: /^https?$/, error: 'must be a URL that starts with http:// or https://' })
        .max(2000)
        .refine(hasNoLogin, 'must not contain a user name or a password')
        .optional()
        .meta({
          description:
            'URL that the job is posted to when it has succeeded or failed, signed according to Standard Webhooks. Its ' +
            'origin must be one of WEBHOOK_ORIGINS; it contains no user name and no password',
          examples: [''],
        }),
      ...inpainting,
    })
    .superRefine((body, context) => {
      const refuse = (name: string, message: string) =>
        context.addIssue({ code: 'custom', path: [name], message });
      if (body.task === 'inpaint') {
        if (!body.image) refuse('image', 'an inpainting job needs an image');
        return;
      }
      const given: Record<string, unknown> = body;
      for (const name of FILLS_ONLY)
        if (given[name] !== DEFAULTS[name]) refuse(name, `a sampling job takes no ${name}`);
    })
    .meta(RULES);
}
export const jobJson = request('JobJson', jobBody(base64Picture), { image: EXAMPLE_PICTURE, seed: 7 });
export const jobForm = request('JobForm', jobBody(filePart));
export type JobBody = z.output<typeof jobForm>;

const diffusing = {
  timesteps: z
    .array(
      z
        .int()
        .min(0)
        .max(MAX_TIMESTEPS - 1),
    )
    .min(1)
    .max(16)
    .optional()
    .meta({
      description:
        "At most 16, each from 0 to the model's T - 1; in a form, separated by commas. When absent, five from 0 to T - 1",
      examples: [[0, 250, 500, 750, 999]],
    }),
  model,
  seed,
  ...output,
};

export const diffuseJson = request('DiffuseJson', z.strictObject({ image: base64Picture, ...diffusing }), {
  image: EXAMPLE_PICTURE,
  timesteps: [0, 250, 500, 750, 999],
  seed: 7,
});
export const diffuseForm = request('DiffuseForm', z.strictObject({ image: filePart, ...diffusing }));
export type DiffuseBody = z.output<typeof diffuseForm>;

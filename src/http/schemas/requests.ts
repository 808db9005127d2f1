import { z } from 'zod';
import { base64Picture, filePart, inpainting, model, output, sampling, seed } from './fields.ts';
import { request } from './named.ts';

const MASK = 'White (128 or more) is the hole; when absent, the transparent pixels of the image are';

export const inpaintJson = request(
  'InpaintJson',
  z.strictObject({ image: base64Picture, mask: base64Picture.optional().describe(MASK), ...inpainting }),
);
export const inpaintForm = request(
  'InpaintForm',
  z.strictObject({ image: filePart, mask: filePart.optional().describe(MASK), ...inpainting }),
);
export type InpaintBody = z.output<typeof inpaintForm>;

export const sampleJson = request('SampleJson', z.strictObject({ ...sampling, ...output }));
export type SampleBody = z.output<typeof sampleJson>;

const diffusing = {
  timesteps: z.array(z.int().min(0).max(99_999)).min(1).max(16).optional().meta({
    description:
      "Up to 16, each 0 to the model's T - 1; five from first to last when absent; in a form, separated by commas",
  }),
  model,
  seed,
  ...output,
};

export const diffuseJson = request('DiffuseJson', z.strictObject({ image: base64Picture, ...diffusing }));
export const diffuseForm = request('DiffuseForm', z.strictObject({ image: filePart, ...diffusing }));
export type DiffuseBody = z.output<typeof diffuseForm>;

import { z } from 'zod';
import { base64Picture, filePart, MAX_SEED } from '../../schemas/fields.ts';
import { request, response } from '../../schemas/named.ts';

/** IOPaint's default. */
const SEED = 42;

/** IOPaint's page sends some forty fields with every fill. Those without effect are accepted as they are. */
export const inpaintJson = request(
  'IOPaintInpaint',
  z.looseObject({
    image: base64Picture,
    mask: base64Picture.describe(
      'The hole is where the colour is light (luma above 127); alpha does not count',
    ),
    sd_seed: z
      .int()
      .min(-1)
      .max(MAX_SEED)
      .default(SEED)
      .meta({ description: 'The same seed gives the same picture; -1 draws one' }),
  }),
);
export type InpaintBody = z.output<typeof inpaintJson>;

export const adjustMaskJson = request(
  'IOPaintAdjustMask',
  z.looseObject({
    mask: base64Picture,
    operate: z.enum(['expand', 'shrink', 'reverse']).meta({ description: 'How to change the hole' }),
    kernel_size: z
      .int()
      .min(1)
      .max(256)
      .default(5)
      .meta({ description: 'Number of pixels by which the hole grows or shrinks; no effect on `reverse`' }),
  }),
);
export type AdjustMaskBody = z.output<typeof adjustMaskJson>;

export const genInfoForm = request(
  'IOPaintGenInfo',
  z.looseObject({ file: filePart.meta({ description: 'A picture file; it is ignored' }) }),
);

export const switchModelJson = request(
  'IOPaintSwitchModel',
  z.looseObject({ name: z.string().max(200).meta({ description: 'The model that is served' }) }),
  { name: 'celeba-inpaint-64' },
);

const never = z.literal(false);

export const modelInfo = response(
  'IOPaintModel',
  z.object({
    name: z.string().meta({ examples: ['celeba-inpaint-64'] }),
    path: z.string().meta({ examples: ['celeba-inpaint-64@1'] }),
    model_type: z.literal('inpaint').meta({ description: 'The page fills as soon as a stroke ends' }),
    is_single_file_diffusers: never,
    need_prompt: never,
    controlnets: z.array(z.string()),
    brushnets: z.array(z.string()),
    support_strength: never,
    support_outpainting: never,
    support_lcm_lora: never,
    support_controlnet: never,
    support_brushnet: never,
    support_powerpaint_v2: never,
  }),
);
export type ModelInfo = z.output<typeof modelInfo>;

export const samplers = z.array(z.string());

export const serverConfig = response(
  'IOPaintServerConfig',
  z.object({
    plugins: z.array(z.string()),
    modelInfos: z.array(modelInfo),
    removeBGModel: z.string(),
    removeBGModels: z.array(z.string()),
    realesrganModel: z.string(),
    realesrganModels: z.array(z.string()),
    interactiveSegModel: z.string(),
    interactiveSegModels: z.array(z.string()),
    enableFileManager: never,
    enableAutoSaving: never,
    enableControlnet: never,
    controlnetMethod: z.string().nullable().meta({ description: 'Always null: ControlNet is not supported' }),
    disableModelSwitch: z
      .literal(true)
      .meta({ description: 'Always true: a switch would change the model for all clients' }),
    isDesktop: never,
    samplers,
  }),
);

export const genInfo = response(
  'IOPaintPrompts',
  z.object({ prompt: z.literal(''), negative_prompt: z.literal('') }),
);

export const error = response(
  'IOPaintError',
  z.object({
    error: z.string().meta({ description: 'The type of the problem', examples: ['mask-mismatch'] }),
    detail: z.string(),
    body: z.literal(''),
    errors: z.string().meta({ description: 'The same text as detail; the page shows it' }),
  }),
);

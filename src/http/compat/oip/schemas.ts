import { z } from 'zod';
import { EXAMPLE_PICTURE, inpainting } from '../../schemas/fields.ts';
import { request, response } from '../../schemas/named.ts';

const name = z.string().min(1).max(200);
const shape = z
  .array(
    z
      .int()
      .min(0)
      .max(2 ** 31 - 1),
  )
  .max(8);

/** The JSON of an inference request. Unknown members are allowed: the protocol has extensions. */
export const inferRequest = request(
  'InferRequest',
  z.object({
    id: z
      .string()
      .max(200)
      .optional()
      .meta({ description: 'Identifier of the request; the answer repeats it' }),
    parameters: z
      .record(z.string(), z.unknown())
      .optional()
      .meta({
        description:
          'Of a fill: `seed`, `num_images`, `sampler`, `steps`, `eta` and the others of /v1/inpaint. ' +
          '`binary_data_output`: whether all outputs are binary',
        examples: [{ seed: 7, steps: 12 }],
      }),
    inputs: z
      .array(
        z.object({
          name,
          shape,
          datatype: z
            .string()
            .max(20)
            .meta({ examples: ['FP32'] }),
          parameters: z
            .object({
              binary_data_size: z
                .int()
                .min(0)
                .optional()
                .meta({ description: 'Bytes of this tensor after the JSON' }),
            })
            .optional(),
          data: z
            .unknown()
            .optional()
            .meta({ description: 'The values, in row-major order; BYTES as base64' }),
        }),
      )
      .min(1)
      .max(16),
    outputs: z
      .array(z.object({ name, parameters: z.object({ binary_data: z.boolean().optional() }).optional() }))
      .max(16)
      .optional()
      .meta({ description: 'The outputs that are wanted; all when absent' }),
  }),
  {
    parameters: { seed: 7 },
    inputs: [{ name: 'image', shape: [1], datatype: 'BYTES', data: [EXAMPLE_PICTURE.split(',')[1]] }],
  },
);
export type InferRequestBody = z.output<typeof inferRequest>;

/** The parameters of a fill that a request can set. */
export const fillParameters = z.object(inpainting).omit({
  model: true,
  preview_every: true,
  preview_noisy: true,
  metadata: true,
  format: true,
  quality: true,
});
export type FillParameters = z.output<typeof fillParameters>;

const tensor = z.object({ name: z.string(), datatype: z.string(), shape: z.array(z.int32().min(-1)) });

export const inferResponse = response(
  'InferResponse',
  z.object({
    model_name: z.string(),
    model_version: z.string().meta({ examples: ['2'] }),
    id: z.string().optional(),
    outputs: z.array(
      tensor.extend({
        data: z
          .array(z.union([z.number(), z.string()]))
          .optional()
          .meta({
            description: 'The values, in row-major order; BYTES as base64. Absent when the output is binary',
          }),
        parameters: z.object({ binary_data_size: z.int().min(0) }).optional(),
      }),
    ),
  }),
);

export const modelMetadata = response(
  'ModelMetadata',
  z.object({
    name: z.string(),
    versions: z.array(z.string()),
    platform: z.string(),
    inputs: z.array(tensor),
    outputs: z.array(tensor),
  }),
);

const configuredTensor = z.object({
  name: z.string(),
  data_type: z.string().meta({ examples: ['TYPE_FP32'] }),
  dims: z.array(z.int32().min(-1)).meta({ description: '-1: any size' }),
});

export const modelConfiguration = response(
  'ModelConfiguration',
  z.object({
    name: z.string(),
    platform: z.string(),
    max_batch_size: z.literal(0).meta({ description: 'The dims of all tensors include N' }),
    input: z.array(configuredTensor),
    output: z.array(configuredTensor),
  }),
);

export const serverMetadata = response(
  'ServerMetadata',
  z.object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) }),
);

export const inferError = response('InferError', z.object({ error: z.string() }));
export const live = response('ServerLive', z.object({ live: z.literal(true) }));
export const ready = response('ServerReady', z.object({ ready: z.literal(true) }));
export const modelReady = response('ModelReady', z.object({ name: z.string(), ready: z.literal(true) }));

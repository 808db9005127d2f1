import { z } from 'zod';
import { MOST_IMAGES } from '../../config/queue-shares.ts';
import { NETWORK_NAMES, PRECISIONS } from '../../engine/engine.ts';
import { STRATEGIES } from '../../generation/parameters.ts';
import { TASKS } from '../../generation/request.ts';
import { OUTPUT_FORMATS } from '../../image/picture.ts';
import { JOB_STATUSES } from '../../jobs/job.ts';
import { modelCard } from '../../model/card.ts';
import { MAX_TIMESTEPS } from '../../model/fields.ts';
import { MODEL_STATES } from '../../registry/served-model.ts';
import { MAX_SEED } from './fields.ts';
import { response } from './named.ts';

export const problem = response(
  'Problem',
  z
    .object({
      type: z.string().meta({ description: 'Type of the error', examples: ['/problems/invalid-request'] }),
      title: z.string().meta({ description: 'The type in words', examples: ['The request is not valid'] }),
      status: z
        .int()
        .min(400)
        .max(599)
        .meta({ examples: [400] }),
      detail: z.string().meta({ description: 'What is wrong', examples: ['steps must be at most 1000'] }),
      instance: z.string().meta({ description: 'Path of the request', examples: ['/v1/inpaint'] }),
      errors: z
        .array(
          z.object({
            pointer: z.string().meta({ description: 'JSON pointer to the field', examples: ['#/steps'] }),
            detail: z.string().meta({ description: 'What is wrong with the field' }),
          }),
        )
        .optional()
        .meta({ description: 'Fields that are not valid, at most 20' }),
      error: z
        .object({
          message: z.string(),
          type: z.string().meta({ examples: ['invalid_request_error'] }),
          param: z
            .string()
            .nullable()
            .meta({ description: 'Name of the field that is not valid', examples: ['mask'] }),
          code: z.string().meta({ examples: ['empty_mask'] }),
        })
        .optional()
        .meta({ description: 'Below /v1/images and /v1/models: the same error for clients of OpenAI' }),
    })
    .meta({ description: 'An error, as RFC 9457 specifies' }),
);

/** Counts, and coordinates in pixels: whole numbers of 32 bits. */
const count = z.int32().min(0);

const image = z.object({
  index: z
    .int()
    .min(0)
    .max(MOST_IMAGES.job - 1)
    .meta({ description: 'Index of the candidate' }),
  data: z.string().meta({ description: 'The encoded picture as base64', contentEncoding: 'base64' }),
});

const drawn = {
  model: z.string().meta({ examples: ['celeba-inpaint-64@3'] }),
  seed: z
    .int()
    .min(0)
    .max(MAX_SEED)
    .meta({ examples: [7] }),
  num_images: z.int().min(1).max(MOST_IMAGES.job),
  sampler: z.string().meta({ examples: ['dpmpp_2m'] }),
  steps: z
    .int()
    .min(1)
    .max(MAX_TIMESTEPS)
    .meta({ examples: [12] }),
  eta: z.number().meta({ examples: [0] }),
  precision: z.enum(PRECISIONS).meta({
    description: 'Number format of the evaluations. With the same seed, pictures differ between two formats',
  }),
  format: z.enum(OUTPUT_FORMATS),
  images: z.array(image),
  timings_ms: z.record(z.string(), z.number()).meta({
    description:
      'Milliseconds of each part of the work: `decode` (read the pictures), `queue` (wait for the first evaluation), `denoise` ' +
      '(evaluate the network), `composite` (put the fill into the picture), `encode` (write the files)',
  }),
};

export const sampleResponse = response('Sampled', z.object(drawn));

const box = z
  .object({ left: z.int32(), top: z.int32(), width: z.int32().min(1), height: z.int32().min(1) })
  .meta({ examples: [{ left: 0, top: 0, width: 64, height: 64 }] });

const plan = z.object({
  evaluations: count.meta({ description: 'Evaluations of the networks, for one image' }),
  regions: z.array(
    z.object({
      levels: z
        .array(
          z.object({
            network: z.enum(NETWORK_NAMES),
            steps: z.int().meta({ description: 'Evaluations of each window' }),
            scale: z.number().meta({
              description: 'Resolution of this level, as a share of that of the picture: 1, 1/2, 1/4, ...',
            }),
            box: box.meta({
              description:
                'The part of the picture that this level covers, in pixels of the picture; it may extend beyond the ' +
                'right and bottom edges',
            }),
            windows: z
              .array(box)
              .meta({ description: 'Windows that are denoised together, in pixels of the picture' }),
          }),
        )
        .meta({ description: 'Levels of resolution, from the coarsest to the finest' }),
    }),
  ),
});

export const inpaintResponse = response(
  'Inpainted',
  z.object({
    ...drawn,
    strategy: z.enum(STRATEGIES).exclude(['auto']),
    box: box.meta({ description: 'The part of the picture that the model saw' }),
    plan: plan.optional().meta({ description: 'How the hole was filled, when the strategy is windows' }),
    mask_fraction: z
      .number()
      .min(0)
      .max(1)
      .meta({ description: 'Share of the pixels of the picture that are in the hole' }),
    uncertainty: z.string().optional().meta({
      description:
        'PNG as base64, when num_images > 1: standard deviation across the candidates, 64 levels or more as 255',
      contentEncoding: 'base64',
    }),
  }),
);

export const diffuseResponse = response(
  'Diffused',
  z.object({
    model: z.string(),
    seed: z.int().min(0).max(MAX_SEED),
    format: z.enum(OUTPUT_FORMATS),
    images: z.array(
      z.object({
        timestep: count,
        abar: z.number().min(0).max(1).meta({ description: 'Share of the signal in this picture' }),
        data: z.string().meta({ description: 'The encoded picture as base64', contentEncoding: 'base64' }),
      }),
    ),
  }),
);

export const job = response(
  'Job',
  z.object({
    id: z.uuid(),
    task: z.enum(TASKS),
    status: z.enum(JOB_STATUSES),
    progress: z.object({
      step: count.meta({ description: 'Evaluations of the network that are done' }),
      of: count.meta({ description: 'Evaluations in all; 0 before the first' }),
    }),
    estimate_seconds: z
      .number()
      .min(0)
      .optional()
      .meta({
        description:
          'Seconds that the whole job takes on the server if it does nothing else, as estimated from the measured ' +
          'speed of its model; absent until that has been loaded once, and when the job has ended',
        examples: [310],
      }),
    created_at: z.iso.datetime(),
    started_at: z.iso.datetime().optional(),
    finished_at: z.iso.datetime().optional(),
    parameters: z.record(z.string(), z.unknown()).meta({
      description:
        'The parameters that were sent, and the defaults of others. The model has its version; a seed that was not sent has been drawn',
    }),
    error: problem.optional(),
    images: z.array(z.string()).meta({
      description: 'Addresses of the pictures of the job',
      examples: [['/v1/jobs/00000000-0000-4000-8000-000000000000/images/0']],
    }),
    events: z.string().meta({ description: 'Address of the stream of events of the job' }),
    webhook: z
      .string()
      .optional()
      .meta({ description: 'URL that the job is posted to when it has succeeded or failed' }),
  }),
);
export type JobResponse = z.output<typeof job>;

export const jobList = response('JobList', z.object({ jobs: z.array(job) }));

export const model = response(
  'Model',
  z.object({
    id: z.string().meta({ description: 'The same as `ref`, for clients of OpenAI' }),
    object: z.literal('model'),
    created: z.int().meta({ description: 'When the files of the model were written, in seconds since 1970' }),
    owned_by: z.string(),
    ref: z.string().meta({ examples: ['celeba-inpaint-64@3'] }),
    default: z
      .boolean()
      .meta({ description: 'Whether this model serves most of the requests that name no model' }),
    share: z
      .number()
      .min(0)
      .max(1)
      .meta({ description: 'Share of the requests without a model that this one serves' }),
    state: z.enum(MODEL_STATES).meta({
      description: '`available` models load on first use',
    }),
    reason: z.string().optional().meta({ description: 'Why loading failed' }),
    digest: z.string().meta({
      description:
        'Identifies the networks: SHA-256 of `unet.onnx`; where there are more files, SHA-256 of the digests of `unet.onnx`, ' +
        '`unet.onnx.data`, `refiner.onnx` and `refiner.onnx.data`',
    }),
    stages: z
      .array(
        z.object({
          name: z.enum(NETWORK_NAMES),
          file: z.string().meta({ examples: ['unet.onnx'] }),
          sha256: z.string(),
          bytes: z.int().min(0),
          resolution: z
            .int()
            .min(8)
            .max(1024)
            .meta({ description: 'Side in pixels of the squares that the network processes' }),
          served: z
            .boolean()
            .optional()
            .meta({ description: 'Whether the engine evaluates it, once the model is loaded' }),
        }),
      )
      .meta({
        description:
          'The networks: `base` draws the fill, `refiner` (if there is one) doubles its resolution',
      }),
    engine: z
      .object({
        engine: z.string(),
        device: z.string(),
        device_name: z.string(),
        device_memory_bytes: z
          .number()
          .optional()
          .meta({ description: 'Memory of the GPU in bytes, if it is known' }),
        library: z.string(),
        precision: z.string(),
        best_batch: z.int32().min(1),
        workers: count,
        workers_alive: count,
        workers_reason: z.string().optional().meta({ description: 'How the number of workers was chosen' }),
      })
      .optional()
      .meta({ description: 'Engine and device that evaluate the model; absent until it has been loaded' }),
    speed: z
      .object({
        seconds_per_evaluation: z
          .object({ base: z.number().min(0), refiner: z.number().min(0).optional() })
          .meta({
            description: 'Seconds of an evaluation of each network, as measured lately on this server',
          }),
        evaluations_per_fill: count.meta({
          description:
            'Evaluations of the base network for one image at the resolution of the model, with the default steps',
        }),
        seconds_per_fill: z.number().min(0).meta({
          description: 'Seconds of such a fill: the product of evaluations and seconds per evaluation',
        }),
      })
      .optional()
      .meta({ description: 'Speed of the model on this server; absent until it has been loaded' }),
    card: modelCard,
  }),
);
export type ModelResponse = z.output<typeof model>;

export const modelList = response(
  'ModelList',
  z.object({
    models: z.array(model),
    object: z.literal('list'),
    data: z.array(model).meta({ description: 'The same as `models`, for clients of OpenAI' }),
  }),
);

export const health = response(
  'Health',
  z.object({
    status: z.literal('ok'),
    model: z
      .string()
      .optional()
      .meta({ examples: ['celeba-inpaint-64@3'] }),
  }),
);

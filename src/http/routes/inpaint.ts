import type { FastifyInstance } from 'fastify';
import { assertFits } from '../../image/encode.ts';
import { assertSameSize } from '../../image/mask.ts';
import type { Mask, Picture } from '../../image/picture.ts';
import { decodeMask, decodePicture, encodeMask, maskFromAlpha, measureHole } from '../../image/threads.ts';
import { inpaint } from '../../inpainting/inpaint.ts';
import type { InpaintResult, SamplingParameters } from '../../inpainting/parameters.ts';
import type { ServedModel } from '../../registry/served-model.ts';
import { answer, base64, type Work } from '../answer.ts';
import { type Form, negotiate } from '../negotiate.ts';
import { binary, events, problems } from '../openapi.ts';
import { chooseModel, samplingParameters } from '../parameters.ts';
import type { Parts } from '../parts.ts';
import { fieldProblem } from '../problem.ts';
import { type InpaintBody, inpaintForm, inpaintJson } from '../schemas/requests.ts';
import { inpaintResponse } from '../schemas/responses.ts';

export default async function inpaintRoute(app: FastifyInstance, { config, registry, metrics }: Parts) {
  const limits = { maxPixels: config.MAX_PIXELS };

  app.post<{ Body: InpaintBody }>(
    '/v1/inpaint',
    {
      schema: {
        operationId: 'inpaint',
        tags: ['pictures'],
        summary: 'Fill the hole of a picture',
        description:
          'Every pixel outside the hole comes back as it was sent, bit for bit (PNG, and WebP of quality 100). ' +
          'Accept chooses between the picture itself and JSON with all candidates.',
        body: {
          content: {
            'multipart/form-data': { schema: inpaintForm },
            'application/json': { schema: inpaintJson },
          },
        },
        response: {
          200: {
            description: 'The filled picture, or JSON with every candidate',
            content: {
              'application/json': { schema: inpaintResponse },
              'image/png': { schema: binary },
              'image/jpeg': { schema: binary },
              'image/webp': { schema: binary },
              'text/event-stream': { schema: events },
            },
          },
          ...problems(
            'invalid-request',
            'unreadable-picture',
            'mask-mismatch',
            'empty-mask',
            'unknown-model',
            'not-acceptable',
            'upload-too-large',
            'picture-too-large',
            'unsupported-media-type',
            'unsupported-picture',
            'queue-full',
            'engine-failure',
            'not-ready',
          ),
        },
      },
      preValidation: (request) => request.readForm(inpaintForm),
    },
    async (request, reply) => {
      const { body } = request;
      const model = chooseModel(registry, body.model);
      const sampling = samplingParameters(body, model);
      const form = negotiate(request, body.format, sampling.numImages);
      const place = model.scheduler?.reserve(sampling.numImages); // before anything is decoded
      try {
        return await answer(reply, metrics, await decoded(body, model, sampling, form, place));
      } finally {
        place?.();
      }
    },
  );

  /** The request with its pictures decoded and checked: what is left is to do it. */
  async function decoded(
    body: InpaintBody,
    model: ServedModel,
    sampling: SamplingParameters,
    form: Form,
    place: (() => void) | undefined,
  ): Promise<Work<InpaintResult>> {
    const started = performance.now();
    const picture = await decodePicture(body.image, 'image', limits);
    assertFits(picture, form.format);
    const mask = body.mask ? await decodeMask(body.mask, 'mask', limits) : await alphaMask(picture);
    assertSameSize(picture, mask);
    await measureHole(mask); // a stream of events cannot answer 400 any more
    metrics.pictureMegapixels.observe((picture.width * picture.height) / 1e6);

    const { strategy, padding, mask_blur: maskBlur, quality, priority } = body;
    const parameters = { ...sampling, strategy, padding, maskBlur };
    return {
      task: 'inpaint',
      model,
      parameters: sampling,
      fields: { strategy, padding, mask_blur: maskBlur },
      form,
      quality,
      previewEvery: body.preview_every,
      decodeMs: performance.now() - started,
      run: async (options) => {
        const result = await inpaint(model, { picture, mask, parameters }, { ...options, priority, place });
        metrics.maskFraction.observe(result.maskFraction);
        return result;
      },
      describe: async ({ strategy, box, maskFraction, uncertainty }) => ({
        strategy,
        box,
        mask_fraction: maskFraction,
        uncertainty: uncertainty && base64(await encodeMask(uncertainty)),
      }),
    };
  }
}

/** Without a mask the transparent pixels are the hole. */
function alphaMask(picture: Picture): Promise<Mask> | Mask {
  if (picture.channels === 4) return maskFromAlpha(picture);
  throw fieldProblem(
    'empty-mask',
    'mask',
    'send a mask, or an image with transparent pixels where the hole is',
  );
}

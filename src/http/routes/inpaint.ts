import type { FastifyInstance } from 'fastify';
import { assertFits } from '../../image/encode.ts';
import type { Mask, Picture } from '../../image/picture.ts';
import { decodeMask, decodePicture, encodeMask, maskFromAlpha } from '../../image/threads.ts';
import { inpaint } from '../../inpainting/inpaint.ts';
import { base64, sendPictures } from '../answer.ts';
import { disconnectSignal } from '../disconnect.ts';
import { negotiate } from '../negotiate.ts';
import { binary, problems } from '../openapi.ts';
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
      model.scheduler?.assertRoom(sampling.numImages); // before anything is decoded
      const signal = disconnectSignal(reply);

      const started = performance.now();
      const picture = await decodePicture(body.image, 'image', limits);
      assertFits(picture, form.format);
      const mask = body.mask ? await decodeMask(body.mask, 'mask', limits) : await alphaMask(picture);
      const decodeMs = performance.now() - started;
      metrics.pictureMegapixels.observe((picture.width * picture.height) / 1e6);

      const { strategy, padding, mask_blur: maskBlur, priority } = body;
      const parameters = { ...sampling, strategy, padding, maskBlur };
      const result = await inpaint(model, { picture, mask, parameters }, { signal, priority });
      metrics.maskFraction.observe(result.maskFraction);
      metrics.steps.inc({ model: model.ref, sampler: sampling.sampler }, sampling.steps * sampling.numImages);
      metrics.requestSeconds.observe(
        { task: 'inpaint', model: model.ref, sampler: sampling.sampler, engine: model.engine?.engine },
        (performance.now() - started) / 1000,
      );
      const { pictures, timings } = result;
      const fields = { strategy, padding, mask_blur: maskBlur };
      const { quality } = body;
      const drawn = { model, parameters: sampling, fields, pictures, timings, decodeMs, form, quality };
      return sendPictures(reply, drawn, async () => ({
        strategy: result.strategy,
        box: result.box,
        mask_fraction: result.maskFraction,
        uncertainty: result.uncertainty && base64(await encodeMask(result.uncertainty)),
      }));
    },
  );
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

import { setImmediate } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { qSample } from '../../diffusion/forward.ts';
import { gaussian } from '../../diffusion/noise.ts';
import { scheduleFrom } from '../../diffusion/schedule.ts';
import { seeded } from '../../generation/resolve.ts';
import type { Picture } from '../../image/picture.ts';
import { tensorToPicture } from '../../image/region.ts';
import { decodePicture, encodePicture, pictureToTensor } from '../../image/threads.ts';
import { traced } from '../../tracing.ts';
import type { Parts } from '../dependencies.ts';
import { negotiate } from '../negotiate.ts';
import { apiProblems, binary } from '../openapi.ts';
import { fieldProblem } from '../problem.ts';
import { base64, sendImage } from '../reply.ts';
import { type DiffuseBody, diffuseForm, diffuseJson } from '../schemas/requests.ts';
import { diffuseResponse } from '../schemas/responses.ts';

/** Longest side that is noised, in pixels: enough to look at. */
const LONGEST_SIDE = 256;

export default async function diffuseRoute(app: FastifyInstance, { config, registry }: Parts) {
  app.post<{ Body: DiffuseBody }>(
    '/v1/diffuse',
    {
      schema: {
        operationId: 'diffuse',
        tags: ['pictures'],
        summary: 'The forward process: a picture noised to the given timesteps',
        description:
          'x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise, with the schedule of a model and one noise for all ' +
          `timesteps. The picture's middle square is taken, at ${LONGEST_SIDE} px at most. As an image, one strip; ` +
          'as JSON, an image for each timestep.',
        body: {
          content: {
            'multipart/form-data': { schema: diffuseForm },
            'application/json': { schema: diffuseJson },
          },
        },
        response: {
          200: {
            description: 'A strip, or JSON with an image for each timestep',
            content: {
              'application/json': { schema: diffuseResponse },
              'image/png': { schema: binary },
              'image/jpeg': { schema: binary },
              'image/webp': { schema: binary },
            },
          },
          ...apiProblems(
            'invalid-request',
            'unreadable-picture',
            'unknown-model',
            'not-acceptable',
            'upload-too-large',
            'picture-too-large',
            'unsupported-media-type',
            'unsupported-picture',
          ),
        },
      },
      preValidation: (request) => request.readForm(diffuseForm),
    },
    async (request, reply) => {
      const { image, seed, quality, ...body } = seeded(request.body);
      const { card, ref } = registry.get(body.model, seed); // its schedule alone: it need not be loaded
      Object.assign(request.about, { model: ref, seed });
      const schedule = scheduleFrom(card.schedule);
      const { timesteps = [0, 0.25, 0.5, 0.75, 1].map((part) => Math.round(part * (schedule.T - 1))) } = body;
      const late = timesteps.findIndex((t) => t >= schedule.T);
      if (late >= 0) {
        const detail = `timestep ${timesteps[late]} is not in 0..${schedule.T - 1} of ${ref}`;
        throw fieldProblem('invalid-request', `timesteps/${late}`, detail);
      }
      const form = negotiate(request, body.format, 1, { events: false });

      const picture = await traced('decode', () =>
        decodePicture(image, 'image', { maxPixels: config.MAX_PIXELS }),
      );
      const side = Math.min(picture.width, picture.height);
      const left = (picture.width - side) >> 1;
      const top = (picture.height - side) >> 1;
      const size = Math.min(side, LONGEST_SIDE);
      const x0 = await pictureToTensor(picture, { left, top, width: side, height: side }, size);
      const epsilon = gaussian({ seed, image: 0, step: 0 }, x0.length);
      const noised: Picture[] = [];
      for (const t of timesteps) {
        noised.push(tensorToPicture(qSample(schedule, x0, t, epsilon), size));
        await setImmediate(); // other requests have their turn between two pictures
      }

      reply.header('x-seed', seed).header('x-model', ref);
      const { format } = form;
      const metadata = { model: ref, seed, timesteps };
      if (form.kind === 'image')
        return sendImage(reply, await encodePicture(strip(noised), { format, quality, metadata }), format);
      const files = await Promise.all(noised.map((each) => encodePicture(each, { format, quality })));
      const images = files.map((file, i) => ({
        timestep: timesteps[i],
        abar: schedule.abar[timesteps[i]],
        data: base64(file),
      }));
      return reply.type('application/json').send({ model: ref, seed, format, images });
    },
  );
}

/** Square pictures side by side. */
function strip(pictures: Picture[]): Picture {
  const { width: size } = pictures[0];
  const width = size * pictures.length;
  const data = new Uint8Array(width * size * 3);
  pictures.forEach((picture, i) => {
    for (let y = 0; y < size; y++) {
      data.set(picture.data.subarray(y * size * 3, (y + 1) * size * 3), (y * width + i * size) * 3);
    }
  });
  return { width, height: size, channels: 3, data };
}

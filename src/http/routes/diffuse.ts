import { randomInt } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { scheduleFrom } from '../../diffusion/schedule.ts';
import { diffuse, LONGEST_SIDE, strip } from '../../generation/diffuse.ts';
import { generationLimits } from '../../generation/prepare.ts';
import { base64 } from '../../image/base64.ts';
import { pictureBudget } from '../../image/budget.ts';
import { assertHoldable, decodeNeeds } from '../../image/needs.ts';
import type { Picture } from '../../image/picture.ts';
import { decodePicture, encodePicture, inspect } from '../../image/threads.ts';
import { traced } from '../../tracing.ts';
import type { Dependencies } from '../dependencies.ts';
import { negotiate } from '../negotiate.ts';
import { modelHeaders } from '../openapi.ts';
import { pictureOperation } from '../picture-operation.ts';
import { fieldProblem } from '../problem.ts';
import { sendImage } from '../reply.ts';
import { type DiffuseBody, diffuseForm, diffuseJson } from '../schemas/requests.ts';
import { diffuseResponse } from '../schemas/responses.ts';

/** Timesteps noised when the request names none, as shares of T - 1. */
const DEFAULT_SHARES = [0, 0.25, 0.5, 0.75, 1];

export default async function diffuseRoute(app: FastifyInstance, { config, registry }: Dependencies) {
  const schema = pictureOperation({
    operationId: 'diffuse',
    summary: 'The forward process: a picture noised to the given timesteps',
    description:
      'x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) epsilon, with the schedule of a model and the same epsilon for all ' +
      `timesteps. The middle square of the picture is used, at ${LONGEST_SIDE} px at most. The answer is one strip of ` +
      'pictures, or JSON with a picture for each timestep.',
    json: diffuseJson,
    form: diffuseForm,
    answer: 'A strip, or JSON with an image for each timestep',
    response: diffuseResponse,
    headers: modelHeaders,
    problems: [
      'unreadable-picture',
      'picture-too-large',
      'picture-too-slow',
      'unsupported-picture',
      'memory-full',
    ],
  });
  app.post<{ Body: DiffuseBody }>(
    '/v1/diffuse',
    { schema, preValidation: (request) => request.readForm(diffuseForm) },
    async (request, reply) => {
      const { image, quality, seed = randomInt(2 ** 32), ...body } = request.body;
      const { card, ref } = registry.get(body.model, seed); // only its schedule is used: it need not be loaded
      Object.assign(request.logFields, { model: ref, seed });
      const schedule = scheduleFrom(card.schedule);
      const { timesteps = DEFAULT_SHARES.map((share) => Math.round(share * (schedule.T - 1))) } = body;
      const late = timesteps.findIndex((t) => t >= schedule.T);
      if (late >= 0) {
        const detail = `timestep ${timesteps[late]} is not in 0..${schedule.T - 1} of ${ref}`;
        throw fieldProblem('invalid-request', `timesteps/${late}`, detail);
      }
      const { kind, format } = negotiate(request, body.format, 1, { events: false });

      const noised = await decoded(image, (picture) => diffuse(schedule, picture, timesteps, seed));

      reply.header('x-seed', seed).header('x-model', ref);
      const metadata = { model: ref, seed, timesteps };
      if (kind === 'image')
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

  /** Decodes a picture, within the budget of memory, for as long as `use` takes. */
  async function decoded<T>(image: Buffer, use: (picture: Picture) => Promise<T>): Promise<T> {
    const file = await inspect(image, 'image', generationLimits(config));
    const { width, height } = file.header;
    const bytes = decodeNeeds(file.header);
    assertHoldable(bytes, 'image', `a picture of ${width} x ${height} pixels`);
    const room = pictureBudget.reserve(bytes);
    try {
      return await use(await traced('decode', () => decodePicture(file, room)));
    } finally {
      room.release();
    }
  }
}

import { randomInt } from 'node:crypto';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { scheduleFrom } from '../../diffusion/schedule.ts';
import { diffuse, LONGEST_SIDE, strip } from '../../generation/diffuse.ts';
import { generationLimits } from '../../generation/prepare.ts';
import { assertHoldable, decodeNeeds, noiseNeeds } from '../../image/needs.ts';
import type { Picture } from '../../image/picture.ts';
import { decodePicture, encodePicture, inspect } from '../../image/threads.ts';
import { traced } from '../../tracing.ts';
import type { Dependencies } from '../dependencies.ts';
import { heldFiles } from '../held-files.ts';
import { listOf, quoted, sendJson, withMember } from '../json-answer.ts';
import { negotiate } from '../negotiate.ts';
import { modelHeaders } from '../openapi.ts';
import { pictureOperation } from '../picture-operation.ts';
import { fieldProblem, PICTURE_SLUGS } from '../problem.ts';
import { sendImage } from '../reply.ts';
import { type DiffuseBody, diffuseForm, diffuseJson } from '../schemas/requests.ts';
import { diffuseResponse } from '../schemas/responses.ts';

/** Timesteps noised when the request names none, as shares of T - 1. */
const DEFAULT_SHARES = [0, 0.25, 0.5, 0.75, 1];

export default async function diffuseRoute(app: FastifyInstance, { config, registry }: Dependencies) {
  const schema = pictureOperation({
    operationId: 'diffuse',
    summary: 'The forward process: a picture with noise added, at the given timesteps',
    description:
      'x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) epsilon, with the schedule of a model and the same epsilon for all ' +
      `timesteps. The middle square of the picture is used, at ${LONGEST_SIDE} px at most. The answer is one strip of ` +
      'pictures, or JSON with a picture for each timestep.',
    json: diffuseJson,
    form: diffuseForm,
    answer: 'A strip, or JSON with an image for each timestep',
    response: diffuseResponse,
    headers: modelHeaders,
    problems: [...PICTURE_SLUGS, 'memory-full'],
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

      const files = await answered(reply, image, timesteps.length, async (picture) => {
        const noised = await diffuse(schedule, picture, timesteps, seed);
        const metadata = { model: ref, seed, timesteps };
        if (kind === 'image') return [await encodePicture(strip(noised), { format, quality, metadata })];
        return Promise.all(noised.map((each) => encodePicture(each, { format, quality })));
      });

      reply.header('x-seed', seed).header('x-model', ref);
      if (kind === 'image') return sendImage(reply, files[0], format);
      const images = files.map((file, i) => {
        const fields = { timestep: timesteps[i], abar: schedule.abar[timesteps[i]] };
        return withMember(fields, 'data', quoted(file));
      });
      return sendJson(reply, withMember({ model: ref, seed, format }, 'images', listOf(images)));
    },
  );

  /** Decodes a picture and makes `count` others of it, within the budget of memory. Their files count until they have been sent. */
  async function answered(
    reply: FastifyReply,
    image: Buffer,
    count: number,
    filesOf: (picture: Picture) => Promise<Uint8Array[]>,
  ): Promise<Uint8Array[]> {
    const file = await inspect(image, 'image', generationLimits(config));
    const { width, height } = file.header;
    const bytes = decodeNeeds(file.header) + noiseNeeds(Math.min(width, height, LONGEST_SIDE), count);
    assertHoldable(bytes, 'image', `a picture of ${width} x ${height} pixels`);
    return heldFiles(reply, bytes, async (room) =>
      filesOf(await traced('decode', () => decodePicture(file, room))),
    );
  }
}

import type { FastifyReply } from 'fastify';
import type { Generated } from '../../../generation/generate.ts';
import { PartialImages } from '../../../generation/partial-images.ts';
import { resultSize } from '../../../generation/prepare.ts';
import type { GenerationRequest } from '../../../generation/request.ts';
import type { OutputFormat } from '../../../image/picture.ts';
import type { Dependencies } from '../../dependencies.ts';
import { type Parts, pieces, sendJson } from '../../json-answer.ts';
import { perform } from '../../perform.ts';
import { replyInStream } from '../../reply-in-stream.ts';
import { EventStream } from '../../sse.ts';
import { errorAnswer } from '../errors.ts';

/** What the body says about its answer. */
interface Wanted {
  quality?: string;
  background?: string;
}

const NO_TOKENS = {
  total_tokens: 0,
  input_tokens: 0,
  output_tokens: 0,
  input_tokens_details: { text_tokens: 0, image_tokens: 0 },
};

/** The qualities that OpenAI's clients know. An answer has no other one: not every client could read it. */
const QUALITIES = ['low', 'medium', 'high', 'xhigh', 'max', 'standard', 'hd'];

const now = () => Math.floor(Date.now() / 1000);

/** What every answer and event says about its pictures. */
class Described {
  size = '';
  output_format: OutputFormat = 'png';
  readonly quality: string;
  readonly background: string;

  constructor({ quality = '', background = 'auto' }: Wanted) {
    this.quality = QUALITIES.includes(quality) ? quality : 'auto';
    this.background = background;
  }
}

/** Answers with all pictures as JSON. */
export async function replyWithImages(
  dependencies: Dependencies,
  reply: FastifyReply,
  request: GenerationRequest,
  wanted: Wanted,
) {
  const described = new Described(wanted);
  const { files, fields } = await perform(dependencies, reply, request, (prepared) => {
    const { width, height } = resultSize(prepared);
    described.size = `${width}x${height}`;
    described.output_format = prepared.format;
    return undefined;
  });
  const head = { created: now(), ...described, usage: NO_TOKENS, seed: fields.seed };
  const data = files.flatMap((file, i): Parts => [i > 0 ? ',' : '', '{"b64_json":"', file, '"}']);
  return sendJson(reply, [`${JSON.stringify(head).slice(0, -1)},"data":[`, ...data, ']}']);
}

/**
 * Answers with events: `<name>.partial_image` for pictures on the way to the first result, and `<name>.completed` for each
 * result. What can be refused is refused with a status before the stream begins.
 */
export function streamImages(
  dependencies: Dependencies,
  reply: FastifyReply,
  request: GenerationRequest,
  wanted: Wanted,
  name: 'image_edit' | 'image_generation',
) {
  const described = new Described(wanted);
  return replyInStream(
    dependencies,
    reply,
    async (opened) => {
      const generated = await perform(dependencies, reply, request, (prepared) => {
        const { width, height } = resultSize(prepared);
        const { format, size } = prepared;
        described.size = `${width}x${height}`;
        described.output_format = format;
        const events = new EventStream(reply);
        opened.stream = events;
        let index = 0;
        const partial = new PartialImages({
          count: request.partial_images ?? 0,
          encoding: { format, quality: request.quality, size },
          send: async (file) => {
            if (events.isBehind) return;
            const type = `${name}.partial_image`;
            const event = { type, partial_image_index: index++, created_at: now(), ...described };
            await events.sendPieces(type, withPicture(event, file));
          },
        });
        opened.reporter = partial;
        return partial.report;
      });
      await opened.reporter?.flush();
      await sendCompleted(opened.stream, generated, described, name);
    },
    (stream, problem) => stream.send(undefined, errorAnswer(problem, reply.request).body),
  );
}

async function sendCompleted(
  stream: EventStream | undefined,
  { files, fields }: Generated,
  described: Described,
  name: string,
) {
  const type = `${name}.completed`;
  for (const file of files) {
    const event = { type, created_at: now(), ...described, usage: NO_TOKENS, seed: fields.seed };
    await stream?.sendPieces(type, withPicture(event, file));
  }
}

function withPicture(event: object, file: Uint8Array): Iterable<string> {
  return pieces([`${JSON.stringify(event).slice(0, -1)},"b64_json":"`, file, '"}']);
}

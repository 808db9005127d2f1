import type { FastifyReply } from 'fastify';
import type { Generated } from '../../../generation/generate.ts';
import { PartialImages } from '../../../generation/partial-images.ts';
import { type PreparedRequest, resultSize } from '../../../generation/prepare.ts';
import type { GenerationRequest } from '../../../generation/request.ts';
import type { Dependencies } from '../../dependencies.ts';
import { listOf, type Parts, pieces, quoted, sendJson, withMember } from '../../json-answer.ts';
import { type OnPrepared, perform } from '../../perform.ts';
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
function described(prepared: PreparedRequest, { quality = '', background = 'auto' }: Wanted) {
  const { width, height } = resultSize(prepared);
  return {
    size: `${width}x${height}`,
    output_format: prepared.format,
    quality: QUALITIES.includes(quality) ? quality : 'auto',
    background,
  };
}

/** Answers with all pictures as JSON. */
export async function replyWithImages(
  dependencies: Dependencies,
  reply: FastifyReply,
  request: GenerationRequest,
  wanted: Wanted,
) {
  let about = {};
  const onPrepared: OnPrepared = (prepared) => {
    about = described(prepared, wanted);
    return undefined;
  };
  const { files, fields } = await perform(dependencies, reply, request, { onPrepared });
  const head = { created: now(), ...about, usage: NO_TOKENS, seed: fields.seed };
  const data = files.map((file): Parts => ['{"b64_json":"', file, '"}']);
  return sendJson(reply, withMember(head, 'data', listOf(data)));
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
  let about = {};
  return replyInStream(
    dependencies,
    reply,
    async (opened) => {
      const onPrepared: OnPrepared = (prepared) => {
        const { format, size } = prepared;
        about = described(prepared, wanted);
        const events = new EventStream(reply);
        opened.stream = events;
        let index = 0;
        const partial = new PartialImages({
          count: request.partial_images ?? 0,
          encoding: { format, quality: request.quality, size },
          send: async (file) => {
            if (events.isBehind) return;
            const type = `${name}.partial_image`;
            const event = { type, partial_image_index: index++, created_at: now(), ...about };
            await events.sendPieces(type, withPicture(event, file));
          },
        });
        opened.reporter = partial;
        return partial.report;
      };
      const generated = await perform(dependencies, reply, request, { onPrepared });
      await opened.reporter?.flush();
      await sendCompleted(opened.stream, generated, about, name);
    },
    (stream, problem) => stream.send(undefined, errorAnswer(problem, reply.request).body),
  );
}

async function sendCompleted(
  stream: EventStream | undefined,
  { files, fields }: Generated,
  about: object,
  name: string,
) {
  const type = `${name}.completed`;
  for (const file of files) {
    const event = { type, created_at: now(), ...about, usage: NO_TOKENS, seed: fields.seed };
    await stream?.sendPieces(type, withPicture(event, file));
  }
}

function withPicture(event: object, file: Uint8Array): Iterable<string> {
  return pieces(withMember(event, 'b64_json', quoted(file)));
}

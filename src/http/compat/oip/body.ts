import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { deflate, gunzip, gzip, inflate } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { collect } from '../../json-body.ts';
import { Problem } from '../../problem.ts';
import { bodyTooLarge } from '../../uploads.ts';
import type { Message } from './message.ts';

const JSON_LENGTH = 'inference-header-content-length';

const UNPACK = { gzip: promisify(gunzip), deflate: promisify(inflate) };
const PACK = { gzip: promisify(gzip), deflate: promisify(deflate) };
const ENCODINGS = ['gzip', 'deflate'] as const;
/** Answers up to this size are not compressed. */
const MIN_PACKED_BYTES = 1024;
/** The fastest level: tensors take long to compress, and gain little from more. */
const LEVEL = { level: 1 };

/** Collects and unpacks a body of at most `limit` bytes. Rejects with Problem. */
export async function readBody(
  request: FastifyRequest,
  body: IncomingMessage,
  limit: number,
): Promise<Message> {
  const encoding = request.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  const unpack = encoding === 'identity' ? undefined : UNPACK[encoding as keyof typeof UNPACK];
  if (encoding !== 'identity' && !unpack) {
    const why = `content-encoding ${encoding} is not supported; send ${ENCODINGS.join(' or ')}`;
    throw new Problem('unsupported-media-type', why);
  }
  const jsonBytes = jsonLength(request.headers[JSON_LENGTH]);
  const collected = await collect(body, request.upload);
  if (!unpack) return { bytes: collected, jsonBytes };
  const bytes = await unpack(collected, { maxOutputLength: limit }).catch(
    ({ code }: NodeJS.ErrnoException) => {
      if (code === 'ERR_BUFFER_TOO_LARGE') throw bodyTooLarge(limit);
      throw new Problem('invalid-request', `the body is not valid ${encoding}`);
    },
  );
  request.upload.take(bytes.length);
  return { bytes, jsonBytes };
}

/** The length of the JSON counts before compression. */
function jsonLength(header: string | string[] | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (typeof header === 'string' && /^\d{1,15}$/.test(header)) return Number(header);
  throw new Problem('invalid-request', 'Inference-Header-Content-Length must be a number of bytes');
}

/** Sends an answer, compressed if the client accepts that. */
export async function sendMessage(reply: FastifyReply, { bytes, jsonBytes }: Message) {
  if (jsonBytes !== undefined) reply.header(JSON_LENGTH, jsonBytes);
  reply.type(jsonBytes === undefined ? 'application/json' : 'application/octet-stream');
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const accepted = reply.request.accepts().encoding([...ENCODINGS, 'identity']);
  const encoding = ENCODINGS.find((each) => each === accepted);
  if (!encoding || buffer.length < MIN_PACKED_BYTES) return reply.send(buffer);
  reply.header('content-encoding', encoding);
  return reply.send(await PACK[encoding](buffer, LEVEL));
}

import type { IncomingMessage } from 'node:http';
import type { Transform } from 'node:stream';
import { promisify } from 'node:util';
import { createGunzip, createInflate, deflate, gzip } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { asBuffer } from '../../../image/buffer.ts';
import { collect } from '../../json-body.ts';
import { Problem } from '../../problem.ts';
import { bodyTooLarge, type Upload } from '../../uploads.ts';
import type { Message } from './message.ts';

const JSON_LENGTH = 'inference-header-content-length';

const UNPACKERS = new Map([
  ['gzip', createGunzip],
  ['deflate', createInflate],
]);
const PACK = { gzip: promisify(gzip), deflate: promisify(deflate) };
const ENCODINGS = ['gzip', 'deflate'] as const;
/** Answers up to this size are not compressed. */
const MIN_PACKED_BYTES = 1024;
/** The fastest level: tensors take long to compress, and gain little from more. */
const LEVEL = { level: 1 };

/** Collects and unpacks a body of at most `limit` bytes, before and after. Rejects with Problem. */
export async function readBody(
  request: FastifyRequest,
  body: IncomingMessage,
  limit: number,
): Promise<Message> {
  const encoding = request.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  const createUnpacker = UNPACKERS.get(encoding);
  if (encoding !== 'identity' && !createUnpacker) {
    const why = `content-encoding ${encoding} is not supported; send ${ENCODINGS.join(' or ')}`;
    throw new Problem('unsupported-media-type', why);
  }
  const jsonBytes = jsonLength(request.headers[JSON_LENGTH]);
  const bytes = createUnpacker
    ? await unpacked(body, createUnpacker(), request.upload, limit).catch((error: unknown) => {
        if (error instanceof Problem) throw error;
        throw new Problem('invalid-request', `the body is not valid ${encoding}`);
      })
    : await collect(body, request.upload);
  return { bytes, jsonBytes };
}

/**
 * Unpacks a body while it arrives: a few bytes can become many, so each piece is counted as soon as it is unpacked, and no
 * further one is unpacked when the upload refuses it.
 */
async function unpacked(body: IncomingMessage, unpacker: Transform, upload: Upload, limit: number) {
  let arrived = 0;
  const count = (chunk: Buffer) => {
    arrived += chunk.length;
    if (arrived > limit) fail(bodyTooLarge(limit));
  };
  const fail = (error: Error) => unpacker.destroy(error);
  body.on('data', count).once('error', fail).pipe(unpacker);
  try {
    return await collect(unpacker, upload);
  } finally {
    body.unpipe(unpacker).off('data', count).off('error', fail).resume();
    unpacker.destroy();
  }
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
  const buffer = asBuffer(bytes);
  const accepted = reply.request.accepts().encoding([...ENCODINGS, 'identity']);
  const encoding = ENCODINGS.find((each) => each === accepted);
  if (!encoding || buffer.length < MIN_PACKED_BYTES) return reply.send(buffer);
  reply.header('content-encoding', encoding);
  return reply.send(await PACK[encoding](buffer, LEVEL));
}

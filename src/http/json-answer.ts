import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { Generated } from '../generation/generate.ts';
import { base64 } from '../image/base64.ts';

/** Bytes of a file that become base64 at a time; a multiple of 3, so that pieces can be joined. */
const PIECE_BYTES = 3 * 2 ** 18;
/** Characters up to which an answer is sent at once. */
const MAX_AT_ONCE = 2 ** 20;

/** JSON, in the order of its parts: texts, and files that stand between quotes as base64. */
export type Parts = (string | Uint8Array)[];

/**
 * The JSON answer to a request: its fields, and the pictures as base64. Eight large pictures are longer than a string can
 * be, so it is made piece by piece.
 */
export function jsonAnswer({ files, fields }: Generated): Parts {
  const images = files.map((file, index) => withMember({ index }, 'data', quoted(file)));
  return withMember(fields, 'images', listOf(images));
}

/** A file as a text of base64. */
export const quoted = (file: Uint8Array): Parts => ['"', file, '"'];

export const listOf = (items: Parts[]): Parts => [
  '[',
  ...items.flatMap((item, i) => (i > 0 ? [',', ...item] : item)),
  ']',
];

/** The object with one more member at its end. It must have others. */
export const withMember = (fields: object, name: string, value: Parts): Parts => [
  `${JSON.stringify(fields).slice(0, -1)},"${name}":`,
  ...value,
  '}',
];

/** The text of the parts, in pieces of a megabyte at most, or of one part that is a text. */
export function* pieces(parts: Parts): Generator<string> {
  for (const part of parts) {
    if (typeof part === 'string') yield part;
    else
      for (let at = 0; at < part.length; at += PIECE_BYTES) yield base64(part.subarray(at, at + PIECE_BYTES));
  }
}

/** Sends the parts as application/json. */
export function sendJson(reply: FastifyReply, parts: Parts) {
  reply.type('application/json');
  const length = parts.reduce((sum, part) => sum + lengthOf(part), 0);
  if (length <= MAX_AT_ONCE) return reply.send([...pieces(parts)].join(''));
  return reply.header('content-length', length).send(Readable.from(pieces(parts)));
}

const lengthOf = (part: string | Uint8Array) =>
  typeof part === 'string' ? Buffer.byteLength(part) : 4 * Math.ceil(part.length / 3);

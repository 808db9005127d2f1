import type { Readable } from 'node:stream';
import { decodeBase64 } from './base64-picture.ts';
import { Chunks } from './chunks.ts';
import { Problem } from './problem.ts';
import type { Upload } from './uploads.ts';

/** Bytes of a JSON body besides its pictures. The largest request that the schemas accept takes less than a tenth. */
export const JSON_BYTES = 65_536;

/** What a JSON body may contain. A route whose bodies differ has it as `json` in its config. */
export interface JsonShape {
  /** Names of members that hold a picture. */
  pictures: readonly string[];
  /** The deepest level at which they do; that of the body's own members is 1. */
  depth: number;
  /** Bytes besides the pictures. */
  bytes: number;
}
const SHAPE: JsonShape = { pictures: ['image', 'mask'], depth: 1, bytes: JSON_BYTES };

declare module 'fastify' {
  interface FastifyContextConfig {
    json?: JsonShape;
  }
}
/** Levels of nesting. The schemas need two. */
const JSON_DEPTH = 16;
/** Values of a JSON body: validation takes a microsecond or more for each. The schemas need less than a tenth. */
const JSON_VALUES = 1024;

const QUOTE = '"'.charCodeAt(0);
const BACKSLASH = '\\'.charCodeAt(0);
const COLON = ':'.charCodeAt(0);
const COMMA = ','.charCodeAt(0);
const [BRACE, CLOSING_BRACE, BRACKET, CLOSING_BRACKET] = Buffer.from('{}[]');

/**
 * Reads a JSON body without blocking the event loop. Its pictures are long strings, which are taken out first and decoded
 * piece by piece; JSON.parse gets only the rest, which is bounded in bytes, in depth and in values.
 *
 * @param parse parses the rest
 * @returns the parsed body. Its pictures are buffers, or NOT_BASE64
 * @throws Problem when the rest is too large or nested too deeply
 */
export async function readJsonBody(
  bytes: Buffer,
  parse: (text: string) => Promise<unknown>,
  shape = SHAPE,
): Promise<unknown> {
  const { rest, pictures } = takeOutPictures(bytes, shape);
  const body = await parse(rest);
  await putBack(body, pictures, shape);
  return body;
}

/** Puts the pictures where their indices are. */
async function putBack(value: unknown, pictures: readonly Buffer[], shape: JsonShape, depth = 1) {
  if (typeof value !== 'object' || value === null || depth > shape.depth) return;
  const members = value as Record<string, unknown>;
  for (const [name, member] of Object.entries(members)) {
    if (typeof member === 'string' && !Array.isArray(value) && shape.pictures.includes(name)) {
      const text = pictures[Number(member)];
      members[name] = (text && (await decodeBase64(text))) ?? NOT_BASE64;
    } else await putBack(member, pictures, shape, depth + 1);
  }
}

/**
 * Bytes, as a multiple of those besides the pictures, after which a body that is arriving is checked once: what is too large
 * otherwise is not kept in memory.
 */
const CHECK_AFTER = 4;

/** Collects a body of JSON. Rejects early with the Problem of readJsonBody, or with one of the upload. */
export function collectJson(body: Readable, upload: Upload, shape = SHAPE): Promise<Buffer> {
  // The start of a body takes no more than the whole of it.
  const check = (start: Buffer) => void takeOutPictures(start, shape);
  return collect(body, upload, { afterBytes: CHECK_AFTER * shape.bytes, check });
}

/** Looks at the start of a large body once. */
interface EarlyCheck {
  /** How many bytes have arrived by then. */
  afterBytes: number;
  /** What it throws refuses the body. */
  check: (start: Buffer) => void;
}

/** Collects a body. Rejects with a Problem of the upload, or with what the check throws. */
export async function collect(body: Readable, upload: Upload, early?: EarlyCheck): Promise<Buffer> {
  const collected = new Promise<Buffer>((resolve, reject) => {
    const chunks = new Chunks();
    let bytes = 0;
    let checked = false;
    const take = (chunk: Buffer) => {
      chunks.add(chunk);
      bytes += chunk.length;
      try {
        upload.take(chunk.length);
        if (!early || checked || bytes < early.afterBytes) return;
        checked = true;
        early.check(chunks.concat());
      } catch (error) {
        refuse(error);
      }
    };
    const refuse = (error: unknown) => {
      body.off('data', take);
      chunks.clear();
      reject(error);
    };
    body.on('data', take);
    body.once('end', () => resolve(chunks.concat()));
    body.once('error', reject);
    upload.stalled.catch(refuse);
  });
  return collected.finally(upload.end);
}

/** Stands in a body for a picture that is not base64, so that validation names the field. */
export const NOT_BASE64 = Symbol('not base64');

/**
 * Replaces the pictures of a JSON body by their indices. The scan is lexical: whatever is not JSON is left in the rest, for
 * the parser to refuse.
 */
function takeOutPictures(bytes: Buffer, shape: JsonShape): { rest: string; pictures: Buffer[] } {
  const pictures: Buffer[] = [];
  const pieces: Buffer[] = [];
  let kept = 0; // bytes before this index are in `pieces`, or belong to a picture
  let cut = 0; // bytes of pictures so far
  let depth = 0;
  let values = 0;
  let isPicture = false; // whether the value of a picture comes next
  for (let at = 0; at < bytes.length; at++) {
    if (at - cut > shape.bytes) throw tooLarge(shape);
    const byte = bytes[at];
    if (byte === BRACE || byte === BRACKET) {
      isPicture = false;
      values++;
      if (++depth > JSON_DEPTH)
        throw new Problem('invalid-request', `the JSON body is nested more than ${JSON_DEPTH} levels deep`);
    } else if (byte === CLOSING_BRACE || byte === CLOSING_BRACKET) depth--;
    else if (byte === COMMA) values++;
    else if (byte === QUOTE) {
      const end = endOfString(bytes, at, isPicture ? bytes.length : shape.bytes + cut, shape);
      if (isPicture) {
        pieces.push(bytes.subarray(kept, at + 1), Buffer.from(String(pictures.length)));
        pictures.push(bytes.subarray(at + 1, end));
        kept = end;
        cut += end - at - 1;
        isPicture = false;
      } else isPicture = depth <= shape.depth && isPictureMember(bytes, at, end, shape);
      at = end;
    } else if (byte > 0x20 && byte !== COLON) isPicture = false; // the value is not a string
    if (values > JSON_VALUES)
      throw new Problem('upload-too-large', `a JSON body has at most ${JSON_VALUES} values`);
  }
  if (bytes.length - cut > shape.bytes) throw tooLarge(shape);
  pieces.push(bytes.subarray(kept));
  return { rest: Buffer.concat(pieces).toString(), pictures };
}

/** The index of the quote that ends the string which starts at `start`, or of the end of the body. */
function endOfString(bytes: Buffer, start: number, limit: number, shape: JsonShape): number {
  let escapedQuotes = 0;
  for (let end = bytes.indexOf(QUOTE, start + 1); ; end = bytes.indexOf(QUOTE, end + 1)) {
    if (end < 0) end = bytes.length;
    if (end > limit) throw tooLarge(shape);
    if (end === bytes.length) return end;
    let backslashes = 0;
    while (bytes[end - 1 - backslashes] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end;
    if (++escapedQuotes > shape.bytes) throw tooLarge(shape); // no picture has any, and each costs a search
  }
}

/** Whether the string from `start` to `end` is the key of a picture. Keys may contain escapes. */
function isPictureMember(bytes: Buffer, start: number, end: number, { pictures }: JsonShape): boolean {
  let next = end + 1;
  while (bytes[next] <= 0x20) next++;
  if (bytes[next] !== COLON) return false;
  try {
    return pictures.includes(JSON.parse(bytes.toString('latin1', start, end + 1)) as string);
  } catch {
    return false;
  }
}

function tooLarge({ bytes, pictures }: JsonShape): Problem {
  return new Problem(
    'upload-too-large',
    `a JSON body has at most ${bytes} bytes besides ${pictures.join(' and ')}`,
  );
}

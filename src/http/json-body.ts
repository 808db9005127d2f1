import type { Readable } from 'node:stream';
import { decodeBase64 } from './base64-picture.ts';
import { Problem } from './problem.ts';
import type { Upload } from './uploads.ts';

/** Members of a JSON body that hold a picture. */
const PICTURES = ['image', 'mask'];
/** Bytes of a JSON body besides its pictures. The largest request that the schemas accept takes less than a tenth. */
export const JSON_BYTES = 65_536;
/** Levels of nesting. The schemas need two. */
export const JSON_DEPTH = 16;

const QUOTE = '"'.charCodeAt(0);
const BACKSLASH = '\\'.charCodeAt(0);
const COLON = ':'.charCodeAt(0);
const [BRACE, CLOSING_BRACE, BRACKET, CLOSING_BRACKET] = Buffer.from('{}[]');

/**
 * Reads a JSON body without blocking the event loop. Its pictures are long strings, which are taken out first and decoded
 * piece by piece; JSON.parse gets only the rest, which is bounded in bytes and in depth.
 *
 * @param parse parses the rest
 * @returns the parsed body. Its pictures are buffers, or NOT_BASE64
 * @throws Problem when the rest is too large or nested too deeply
 */
export async function readJsonBody(
  bytes: Buffer,
  parse: (text: string) => Promise<unknown>,
): Promise<unknown> {
  const { rest, pictures } = takeOutPictures(bytes);
  const body = await parse(rest);
  for (const [name, text] of pictures) {
    (body as Record<string, unknown>)[name] = (await decodeBase64(text)) ?? NOT_BASE64;
  }
  return body;
}

/** Bytes after which a body that is arriving is checked once: what is too large otherwise is not kept in memory. */
const CHECK_AFTER = 4 * JSON_BYTES;

/** Collects a body of JSON. Rejects early with the Problem of readJsonBody, or with one of the upload. */
export async function collectJson(body: Readable, upload: Upload): Promise<Buffer> {
  const collected = new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    let checked = false;
    const take = (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      try {
        upload.take(chunk.length);
        if (checked || bytes < CHECK_AFTER) return;
        checked = true;
        takeOutPictures(Buffer.concat(chunks)); // the start of a body takes no more than the whole of it
      } catch (error) {
        refuse(error);
      }
    };
    const refuse = (error: unknown) => {
      body.off('data', take);
      chunks.length = 0;
      reject(error);
    };
    body.on('data', take);
    body.once('end', () => resolve(Buffer.concat(chunks)));
    body.once('error', reject);
    upload.stalled.catch(refuse);
  });
  return collected.finally(upload.end);
}

/** Stands in a body for a picture that is not base64, so that validation names the field. */
export const NOT_BASE64 = Symbol('not base64');

/**
 * Replaces the pictures of a JSON object by empty strings. The scan is lexical: whatever is not JSON is left in the rest,
 * for the parser to refuse. A member that is repeated counts as JSON.parse counts it: the last one wins.
 */
function takeOutPictures(bytes: Buffer): { rest: string; pictures: Map<string, Buffer> } {
  const pictures = new Map<string, Buffer>();
  const pieces: Buffer[] = [];
  let kept = 0; // bytes before this index are in `pieces`, or belong to a picture
  let cut = 0; // bytes of pictures so far
  let depth = 0;
  let member: string | undefined; // the picture whose value comes next
  for (let at = 0; at < bytes.length; at++) {
    if (at - cut > JSON_BYTES) throw tooLarge();
    const byte = bytes[at];
    if (byte === BRACE || byte === BRACKET) {
      member = undefined;
      if (++depth > JSON_DEPTH)
        throw new Problem('invalid-request', `the JSON body is nested more than ${JSON_DEPTH} levels deep`);
    } else if (byte === CLOSING_BRACE || byte === CLOSING_BRACKET) depth--;
    else if (byte === QUOTE) {
      const value = member;
      const end = endOfString(bytes, at, value === undefined ? at + JSON_BYTES - (at - cut) : bytes.length);
      if (value !== undefined) {
        pictures.set(value, bytes.subarray(at + 1, end));
        pieces.push(bytes.subarray(kept, at + 1));
        kept = end;
        cut += end - at - 1;
        member = undefined;
      } else if (depth === 1) member = pictureMember(bytes, at, end);
      if (member !== undefined) pictures.delete(member);
      at = end;
    } else if (byte > 0x20 && byte !== COLON) member = undefined; // the value is not a string
  }
  if (bytes.length - cut > JSON_BYTES) throw tooLarge();
  pieces.push(bytes.subarray(kept));
  return { rest: Buffer.concat(pieces).toString(), pictures };
}

/** The index of the quote that ends the string which starts at `start`, or of the end of the body. */
function endOfString(bytes: Buffer, start: number, limit: number): number {
  let escapedQuotes = 0;
  for (let end = bytes.indexOf(QUOTE, start + 1); ; end = bytes.indexOf(QUOTE, end + 1)) {
    if (end < 0) end = bytes.length;
    if (end > limit) throw tooLarge();
    if (end === bytes.length) return end;
    let backslashes = 0;
    while (bytes[end - 1 - backslashes] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end;
    if (++escapedQuotes > JSON_BYTES) throw tooLarge(); // no picture has any, and each costs a search
  }
}

/** The name of the picture if the string from `start` to `end` is the key of one. Keys may contain escapes. */
function pictureMember(bytes: Buffer, start: number, end: number): string | undefined {
  let next = end + 1;
  while (bytes[next] <= 0x20) next++;
  if (bytes[next] !== COLON) return undefined;
  try {
    const key: unknown = JSON.parse(bytes.toString('latin1', start, end + 1));
    return PICTURES.find((name) => name === key);
  } catch {
    return undefined;
  }
}

function tooLarge(): Problem {
  const names = PICTURES.join(' and ');
  return new Problem('upload-too-large', `a JSON body has at most ${JSON_BYTES} bytes besides ${names}`);
}

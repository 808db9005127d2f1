import { setImmediate as nextTurn } from 'node:timers/promises';

/** Characters that are read before other requests get a turn. */
const PIECE = 1 << 20;
/** The head of a data: URL of base64 (RFC 2397), with any media type and parameters, or none. */
const HEAD = /^\s*data:[^,]*;\s*base64\s*,/i;
const HEAD_CHARACTERS = 1000;

const [BACKSLASH, PERCENT, EQUALS, LETTER_U] = Buffer.from('\\%=u');
/** Escapes of JSON other than \uXXXX: the character after the backslash, and the character that the two stand for. */
const ESCAPES = new Map(
  ['""', '\\\\', '//', 'b\b', 'f\f', 'n\n', 'r\r', 't\t'].map((pair) => {
    const [code, character] = Buffer.from(pair);
    return [code, character];
  }),
);

const CHARACTER = 1;
const SPACE = 2;
/** What each byte is: a character of base64 or its URL-safe alphabet (RFC 4648, sections 4 and 5), a space, or neither. */
const KINDS = new Uint8Array(256);
for (const code of Buffer.from('+/-_=')) KINDS[code] = CHARACTER;
for (const [from, to] of ['AZ', 'az', '09']) KINDS.fill(CHARACTER, from.charCodeAt(0), to.charCodeAt(0) + 1);
for (const code of Buffer.from(' \t\n\f\r')) KINDS[code] = SPACE;

/**
 * Decodes base64 or a data: URL of it, as it stands between the quotes of a JSON string. Both alphabets are accepted, as
 * are white space, missing padding, and the escapes of JSON and of URLs. Long texts are read in pieces, so that other
 * requests are answered in between.
 *
 * @returns the bytes, or undefined if the text is not base64
 */
export async function decodeBase64(json: Buffer): Promise<Buffer | undefined> {
  const text = json.includes(BACKSLASH) ? await convert(json, unescapeJson) : json;
  if (!text) return undefined;
  const head = HEAD.exec(text.toString('latin1', 0, HEAD_CHARACTERS));
  const encoded = head ? text.subarray(head[0].length) : text;
  const characters = await convert(encoded, charactersOf(head !== null));
  if (!characters) return undefined;
  const { length } = withoutPadding(characters);
  if (length % 4 === 1 || characters.subarray(0, length).includes(EQUALS)) return undefined;
  const bytes = Buffer.allocUnsafe(Math.floor((length * 3) / 4));
  for (let at = 0; at < length; at += PIECE) {
    if (at > 0) await nextTurn();
    const piece = characters.toString('latin1', at, Math.min(at + PIECE, length)); // PIECE is a multiple of 4
    bytes.write(piece, (at / 4) * 3, 'base64');
  }
  return bytes;
}

/** At the end of a whole number of groups of four, up to two `=` are padding. */
function withoutPadding(characters: Buffer): Buffer {
  let { length } = characters;
  if (length % 4 === 0) for (let i = 0; i < 2 && characters[length - 1] === EQUALS; i++) length--;
  return characters.subarray(0, length);
}

interface Position {
  /** Bytes of the text that have been read. */
  read: number;
  /** Bytes that have been written. */
  written: number;
}
/** Converts about PIECE bytes of the text. Returns the new position, or undefined if the text is malformed. */
type Converter = (text: Buffer, out: Buffer, position: Position) => Position | undefined;

/** A converted copy of the text. */
async function convert(text: Buffer, converter: Converter): Promise<Buffer | undefined> {
  const out = Buffer.allocUnsafe(text.length);
  let position: Position | undefined = { read: 0, written: 0 };
  while (position.read < text.length) {
    if (position.read > 0) await nextTurn();
    position = converter(text, out, position);
    if (!position) return undefined;
  }
  return out.subarray(0, position.written);
}

/** Replaces the escapes of JSON. An escaped character beyond ASCII becomes a zero byte, which is not base64 either. */
function unescapeJson(text: Buffer, out: Buffer, { read, written }: Position): Position | undefined {
  const end = Math.min(read + PIECE, text.length);
  while (read < end) {
    const byte = text[read++];
    if (byte !== BACKSLASH) out[written++] = byte;
    else if (text[read] === LETTER_U) {
      const code = hex(text, read + 1, 4);
      if (code === undefined) return undefined;
      out[written++] = code < 128 ? code : 0;
      read += 5;
    } else {
      const character = ESCAPES.get(text[read++]);
      if (character === undefined) return undefined;
      out[written++] = character;
    }
  }
  return { read, written };
}

/** Keeps the characters of base64 and drops white space. In a data: URL, %XX stands for a character. */
const charactersOf =
  (url: boolean): Converter =>
  (text, out, { read, written }) => {
    const end = Math.min(read + PIECE, text.length);
    while (read < end) {
      let byte: number | undefined = text[read++];
      if (byte === PERCENT && url) {
        byte = hex(text, read, 2);
        if (byte === undefined) return undefined;
        read += 2;
      }
      if (KINDS[byte] === CHARACTER) out[written++] = byte;
      else if (KINDS[byte] !== SPACE) return undefined;
    }
    return { read, written };
  };

/** The number that `digits` hexadecimal digits stand for. */
function hex(text: Buffer, at: number, digits: number): number | undefined {
  const number = text.toString('latin1', at, at + digits);
  return number.length === digits && /^[\da-f]+$/i.test(number) ? Number.parseInt(number, 16) : undefined;
}

import type { Pixels } from './tiles.ts';

/** Bytes at the beginning and the end of a file in which parameters are looked for. */
const SEARCHED = 65_536;
const IDAT = 0x49444154;
const ZTXT = 0x7a545874;
const SIGNATURE = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);

/** A mask as a grey PNG of 8 bits. */
export async function encodeGrey({ width, height, data }: Pixels): Promise<Blob> {
  const rows = new Uint8Array((width + 1) * height); // each row begins with its filter: 0, none
  for (let y = 0; y < height; y++) rows.set(data.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8); // bits; the colour type after it is 0, grey
  const compressed = new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream('deflate')));
  const parts = [
    SIGNATURE,
    ...chunk('IHDR', new Uint8Array(header.buffer)),
    ...chunk('IDAT', new Uint8Array(await compressed.arrayBuffer())),
    ...chunk('IEND', new Uint8Array()),
  ];
  return new Blob(parts, { type: 'image/png' });
}

function chunk(type: string, data: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] {
  const name = new TextEncoder().encode(type);
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, data.length);
  const sum = new DataView(new ArrayBuffer(4));
  sum.setUint32(0, ~crc(data, crc(name, -1)) >>> 0);
  return [new Uint8Array(length.buffer), name, data, new Uint8Array(sum.buffer)];
}

const TABLE = Int32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function crc(bytes: Uint8Array, start: number): number {
  let c = start;
  for (const byte of bytes) c = TABLE[(c ^ byte) & 255] ^ (c >>> 8);
  return c;
}

/** The parameters that the service wrote into a picture, as XMP; undefined in any other picture. */
export async function readParameters(file: Blob): Promise<Record<string, unknown> | undefined> {
  const ends = [file.slice(0, SEARCHED), file.slice(Math.max(SEARCHED, file.size - SEARCHED))];
  for (const part of [await compressedText(file), ...ends]) {
    const text = new TextDecoder('latin1').decode(await part.arrayBuffer());
    const json = /<ddpm:parameters>([^<]*)<\/ddpm:parameters>/.exec(text)?.[1];
    if (json === undefined) continue;
    try {
      return JSON.parse(json) as Record<string, unknown>;
    } catch {
      return undefined;
    }
  }
  return undefined;
}

/** What a PNG says about itself in its first zTXt chunk, decompressed; empty if there is none before the pixels. */
async function compressedText(file: Blob): Promise<Blob | Response> {
  for (let at = SIGNATURE.length; at + 8 <= Math.min(file.size, SEARCHED); ) {
    const head = new DataView(await file.slice(at, at + 8).arrayBuffer());
    const length = head.getUint32(0);
    const type = head.getUint32(4);
    if (type === IDAT) break;
    if (type === ZTXT) {
      const bytes = new Uint8Array(await file.slice(at + 8, at + 8 + length).arrayBuffer());
      const start = bytes.indexOf(0) + 2; // after the keyword and the method of compression
      const compressed = new Blob([bytes.subarray(start)]).stream();
      return new Response(compressed.pipeThrough(new DecompressionStream('deflate')));
    }
    at += 12 + length;
  }
  return new Blob();
}

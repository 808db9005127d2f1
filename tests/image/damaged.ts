import { deflateSync } from 'node:zlib';
import type { Picture } from '../../src/image/picture.ts';
import { pngChunk, raw } from './make.ts';

/** A picture in which missing rows and wrong pixels show. */
export const ORIGINAL: Picture = (() => {
  const [width, height] = [96, 96];
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const p = (y * width + x) * 3;
      data[p] = 60 + x + ((x * 7 + y * 3) % 32);
      data[p + 1] = 40 + y + ((x * 5) % 24);
      data[p + 2] = 200 - x + ((y * 11) % 16);
    }
  }
  return { width, height, channels: 3, data };
})();

/** Variants of one file with faults, by what the fault is: those that are accepted, and those that are refused. */
export interface Variants {
  type: 'image/jpeg' | 'image/png' | 'image/webp' | 'image/gif';
  accepted: Record<string, Buffer>;
  refused: Record<string, Buffer>;
}

const join = (...parts: (Buffer | number[])[]) => Buffer.concat(parts.map((part) => Buffer.from(part)));
const insert = (file: Buffer, at: number, ...values: number[]) =>
  join(file.subarray(0, at), values, file.subarray(at));
const remove = (file: Buffer, at: number, count: number) =>
  join(file.subarray(0, at), file.subarray(at + count));
const set = (file: Buffer, at: number, ...values: number[]) =>
  join(file.subarray(0, at), values, file.subarray(at + values.length));
const flip = (file: Buffer, at: number) => set(file, at, file[at] ^ 0x10);
const share = (file: Buffer, part: number) => file.subarray(0, Math.floor(file.length * part));

const EOI = [0xff, 0xd9];
const marker = (file: Buffer, code: number, from = 0) => file.indexOf(Buffer.from([0xff, code]), from);

/** The file without its segments of one kind. */
function without(file: Buffer, code: number): Buffer {
  let rest = file;
  for (let at = marker(rest, code); at > 0; at = marker(rest, code)) {
    rest = remove(rest, at, 2 + rest.readUInt16BE(at + 2));
  }
  return rest;
}

async function jpegVariants(): Promise<Variants> {
  const plain = await raw(ORIGINAL)
    .jpeg({ quality: 90, chromaSubsampling: '4:2:0', optimiseCoding: false })
    .toBuffer();
  const jfif = [0xff, 0xe0, 0, 16, ...Buffer.from('JFIF\0'), 1, 1, 0, 0, 1, 0, 1, 0, 0];
  const file = insert(plain, 2, ...jfif);
  const adobe = [0xff, 0xee, 0, 14, ...Buffer.from('Adobe\0d\0\0\0\0'), 9];
  const [dqt, dht, sof, sos] = [0xdb, 0xc4, 0xc0, 0xda].map((code) => marker(file, code));
  const scan = sos + 2 + file.readUInt16BE(sos + 2);
  const end = file.length - 2;
  const middle = (scan + end) >> 1;

  const progressive = await raw(ORIGINAL).jpeg({ quality: 90, progressive: true }).toBuffer();
  const secondScan = marker(progressive, 0xda, marker(progressive, 0xda) + 2);
  return {
    type: 'image/jpeg',
    accepted: {
      'no fault': file,
      'no end marker': file.subarray(0, end),
      'half an end marker': file.subarray(0, end + 1),
      'zeros for the end marker': join(file.subarray(0, end), Buffer.alloc(64)),
      'bytes before the tables': insert(file, dqt, 9, 9),
      'bytes before the frame header': insert(file, sof, 0, 0, 0, 1),
      'bytes before the scan header': insert(file, sos, 1, 2, 3),
      'zeros before the scan header': insert(file, sos, ...new Array<number>(500).fill(0)),
      'bytes before the end marker': insert(file, end, 1, 2, 3, 4, 5, 6, 7, 8),
      'fill bytes before a marker': insert(file, sos, 0xff, 0xff, 0xff),
      'bytes after the end marker': join(file, Buffer.from('SEFT: what a phone appends'.repeat(20))),
      'a second JPEG after the first': join(file, file),
      'scan header: start of selection': set(file, scan - 3, 1),
      'scan header: end of selection': set(file, scan - 2, 0),
      'scan header: approximation': set(file, scan - 1, 1),
      'scan header: all three bytes': set(file, scan - 3, 17, 3, 0x22),
      'scan header and no end marker': set(file, scan - 3, 17, 3, 0x22).subarray(0, end),
      'unknown version of JFIF': set(file, 11, 3, 9),
      'unknown Adobe transform': insert(without(file, 0xe0), 2, ...adobe),
      'damaged EXIF': insert(
        file,
        2,
        0xff,
        0xe1,
        0,
        22,
        ...Buffer.from('Exif\0\0II*\0\xff\xff\xff\xffgarbage\0'.slice(0, 20), 'latin1'),
      ),
      'no Huffman tables': without(file, 0xc4),
      'a bit of the scan': flip(file, middle),
      '16 bytes less in the scan': remove(file, middle, 16),
      'progressive, no end marker': progressive.subarray(0, progressive.length - 2),
      'progressive, bytes before a scan': insert(progressive, secondScan, 1, 2, 3),
    },
    refused: {
      halved: file.subarray(0, middle),
      'halved, then an end marker': join(file.subarray(0, middle), EOI),
      'halved, wrong scan header': set(file, scan - 3, 17, 3, 0x22).subarray(0, middle),
      'halved, bytes before the scan header': insert(file, sos, 1, 2, 3).subarray(0, middle),
      '90 %': share(file, 0.9),
      '99 %': share(file, 0.99),
      '400 bytes less in the scan': remove(file, middle, 400),
      'twice the height': set(file, sof + 5, 0, 192),
      'a marker in the scan': insert(file, middle, 0xff, 0xe0),
      'a restart marker in the scan': insert(file, middle, 0xff, 0xd0),
      'a restart interval without restarts': insert(file, sos, 0xff, 0xdd, 0, 4, 0, 6),
      'damaged Huffman table': set(file, dht + 5, 0xff, 0xff),
      'no quantisation tables': without(file, 0xdb),
      'wrong length of a segment': set(file, 4, 0, 200),
      'cut in the header': file.subarray(0, dht + 10),
      'progressive, halved': share(progressive, 0.5),
      'progressive, 99 %': share(progressive, 0.99),
    },
  };
}

async function pngVariants(): Promise<Variants> {
  const written = await raw(ORIGINAL).png().toBuffer();
  const chunks: { type: string; data: Buffer }[] = [];
  for (let at = 8; at < written.length; ) {
    const size = written.readUInt32BE(at);
    chunks.push({
      type: written.toString('latin1', at + 4, at + 8),
      data: written.subarray(at + 8, at + 8 + size),
    });
    at += 12 + size;
  }
  const idat = join(...chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data));
  const header = join(written.subarray(0, 8), pngChunk('IHDR', chunks[0].data));
  const end = pngChunk('IEND', Buffer.alloc(0));
  const withData = (data: Buffer) => join(header, pngChunk('IDAT', data), end);
  const withChunk = (...extra: Buffer[]) => join(header, ...extra, pngChunk('IDAT', idat), end);
  const wrongCrc = (chunk: Buffer) => flip(chunk, chunk.length - 1);
  const file = withChunk();
  const text = pngChunk('tEXt', Buffer.from('Comment\0hello'));
  const gamma = pngChunk('gAMA', Buffer.from([0, 0, 0xb1, 0x8f]));
  const row = 96 * 3 + 1;
  return {
    type: 'image/png',
    accepted: {
      'no fault': file,
      'wrong CRC of a text': withChunk(wrongCrc(text)),
      'a text without keyword': withChunk(pngChunk('tEXt', Buffer.alloc(0))),
      'wrong CRC of the end': wrongCrc(file),
      'no end': file.subarray(0, file.length - 12),
      'half an end': file.subarray(0, file.length - 4),
      'bytes after the end': join(file, Buffer.from('garbage')),
      'bytes after the compressed data': withData(join(idat, Buffer.alloc(20))),
      'more rows than the header says': withData(deflateSync(Buffer.alloc(row * 100))),
      'damaged profile': withChunk(pngChunk('iCCP', Buffer.from('p\0\0garbage'))),
      'gamma of 0': withChunk(pngChunk('gAMA', Buffer.alloc(4))),
      'gamma twice': withChunk(gamma, gamma),
      'wrong length of a chunk': withChunk(pngChunk('sRGB', Buffer.from([0, 0]))),
      'empty data chunks': withChunk(pngChunk('IDAT', Buffer.alloc(0))),
      'damaged EXIF': withChunk(pngChunk('eXIf', Buffer.from('garbage'))),
    },
    refused: {
      halved: share(file, 0.5),
      '99 %': share(file, 0.99),
      'halved data, right CRC': withData(share(idat, 0.5)),
      'half of the rows': withData(deflateSync(Buffer.alloc(row * 48))),
      'one row less': withData(deflateSync(Buffer.alloc(row * 95))),
      'wrong CRC of the data': flip(file, file.length - 13),
      'wrong CRC of the header': flip(file, 32),
      'wrong checksum in the data': withData(flip(idat, idat.length - 1)),
      'no checksum in the data': withData(idat.subarray(0, idat.length - 4)),
      'a bit of the data, right CRC': withData(flip(idat, idat.length >> 1)),
      'unknown filter': withData(deflateSync(Buffer.alloc(row * 96, 9))),
      'unknown critical chunk': withChunk(pngChunk('XxXx', Buffer.from('x'))),
    },
  };
}

async function webpVariants(lossless: boolean): Promise<Variants> {
  const file = await raw(ORIGINAL).webp({ lossless, quality: 90 }).toBuffer();
  const sized = (bytes: Buffer, size: number) => {
    const copy = Buffer.from(bytes);
    copy.writeUInt32LE(size, 4);
    return copy;
  };
  const even = (file.length >> 1) & ~1;
  const halved = sized(file.subarray(0, even), even - 8);
  halved.writeUInt32LE(even - 20, 16);
  return {
    type: 'image/webp',
    accepted: {
      'no fault': file,
      'bytes after the end': join(file, Buffer.from('garbage')),
      'unknown chunk': sized(join(file, Buffer.from('ABCD\x04\0\0\0abcd')), file.length + 4),
      'a bit of the data': flip(file, file.length >> 1),
    },
    refused: {
      halved: share(file, 0.5),
      '99 %': share(file, 0.99),
      '1 byte less': file.subarray(0, file.length - 1),
      'halved, right sizes': halved,
      'size too large': sized(file, file.length + 100),
      'size too small': sized(file, file.length - 20),
    },
  };
}

async function gifVariants(): Promise<Variants> {
  const file = await raw(ORIGINAL).gif().toBuffer();
  return {
    type: 'image/gif',
    accepted: {
      'no fault': file,
      'no end': file.subarray(0, file.length - 1),
      'bytes after the end': join(file, Buffer.from('garbage')),
    },
    refused: { halved: share(file, 0.5), '99 %': share(file, 0.99) },
  };
}

export const VARIANTS: Record<string, () => Promise<Variants>> = {
  JPEG: jpegVariants,
  PNG: pngVariants,
  WebP: () => webpVariants(false),
  'lossless WebP': () => webpVariants(true),
  GIF: gifVariants,
};

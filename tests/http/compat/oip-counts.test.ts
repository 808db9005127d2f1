import { expect, test } from 'vitest';
import { readRequest } from '../../../src/http/compat/oip/message.ts';
import { FILL } from '../../../src/http/compat/oip/signatures.ts';

const MOST = 8;

/** Reads a request whose image is sent as bytes. */
function read(datatype: string, shape: number[], bytes: Buffer) {
  const parameters = { binary_data_size: bytes.length };
  const head = Buffer.from(JSON.stringify({ inputs: [{ name: 'image', datatype, shape, parameters }] }));
  return readRequest({ bytes: Buffer.concat([head, bytes]), jsonBytes: head.length }, FILL, MOST);
}

const value = (text: string) => {
  const bytes = Buffer.from(`....${text}`);
  bytes.writeUInt32LE(text.length);
  return bytes;
};

test('values of BYTES are as many as the shape says', () => {
  const two = Buffer.concat([value('one'), value('')]);
  const [{ values }] = read('BYTES', [2], two).tensors;
  expect((values as Uint8Array[]).map((each) => Buffer.from(each).toString())).toEqual(['one', '']);
  expect(() => read('BYTES', [3], two)).toThrow('image: 2 values were sent; its shape has 3');
  expect(() => read('BYTES', [1], two)).toThrow('image: its shape has 1 values; more were sent');
});

test('each value has bytes of its own: a view sent to a thread would take all of the request along', () => {
  const [{ values }] = read('BYTES', [2], Buffer.concat([value('one'), value('three')])).tensors;
  expect((values as Uint8Array[]).map(({ buffer }) => buffer.byteLength)).toEqual([3, 5]);
});

test('values past the shape are not read: those of millions would take much memory', () => {
  const bytes = Buffer.concat([value('one'), Buffer.from('cut off')]);
  expect(() => read('BYTES', [1], bytes)).toThrow('more were sent');
});

test('images are counted before any is read', () => {
  const count = 1_000_000;
  for (const [datatype, shape, size] of [
    ['BYTES', [count], 4],
    ['UINT8', [count, 1, 1, 3], 3],
  ] as const) {
    const many = () => read(datatype, [...shape], Buffer.alloc(count * size));
    expect(many).toThrow(`image: it has ${count} images; at most ${MOST} are possible`);
  }
});

import { expect, test } from 'vitest';
import { parseSafetensors, readSafetensors } from '../../src/engine/tfjs/safetensors.ts';

function file(header: unknown, data: ArrayBuffer): Uint8Array {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, new Uint8Array(data)]);
}

const halves = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x8000, 0x7bff, 0x3555);
const entry = { dtype: 'F16', shape: [2, 3], data_offsets: [0, 12] };

test('half floats become floats exactly: normal, subnormal, signed zero, largest', () => {
  const { shape, data } = parseSafetensors(file({ a: entry }, halves.buffer)).get('a') ?? {};
  expect(shape).toEqual([2, 3]);
  expect(data).toEqual(Float32Array.of(1, -2, 2 ** -24, -0, 65504, 0.333251953125));
});

test('floats are as they are, and metadata is no tensor', () => {
  const floats = Float32Array.of(0.1, -3e38);
  const header = { __metadata__: { by: 'us' }, b: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } };
  const parameters = parseSafetensors(file(header, floats.buffer));
  expect([...parameters.keys()]).toEqual(['b']);
  expect(parameters.get('b')?.data).toEqual(floats);
});

test.each([
  ['an empty file', new Uint8Array(), 'too short'],
  ['a header cut off', file({ a: entry }, halves.buffer).subarray(0, 20), 'ends within its header'],
  ['a header that is none', file([1], halves.buffer), 'header is not a safetensors header'],
  ['tensors cut off', file({ a: entry }, halves.buffer.slice(0, 4)), 'ends before a does'],
  ['an unknown type', file({ a: { ...entry, dtype: 'BF16' } }, halves.buffer), 'a is BF16'],
  ['a shape that is not the data', file({ a: { ...entry, shape: [7] } }, halves.buffer), 'a has 12 bytes'],
])('%s is a sentence', (_, bytes, sentence) => {
  expect(() => parseSafetensors(bytes)).toThrow(sentence);
});

test('a missing file is named', async () => {
  await expect(readSafetensors('/nowhere/w.safetensors')).rejects.toThrow(
    '/nowhere/w.safetensors cannot be read',
  );
});

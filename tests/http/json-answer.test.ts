import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { jsonAnswer, pieces } from '../../src/http/json-answer.ts';

const MEGABYTE = 2 ** 20;

test('a JSON answer in pieces is the JSON that JSON.stringify makes', () => {
  const files = [0, 1, 2, 3, MEGABYTE, 2_500_000].map((length) => new Uint8Array(randomBytes(length)));
  const fields = { model: 'é"\\', timings_ms: { decode: 1 }, precision: 'fp32' as const, absent: undefined };
  const parts = [...pieces(jsonAnswer({ files, format: 'png', fields }))];
  const images = files.map((file, index) => ({ index, data: Buffer.from(file).toString('base64') }));
  expect(parts.join('') === JSON.stringify({ ...fields, images })).toBe(true);
  expect(Math.max(...parts.map(({ length }) => length))).toBeLessThanOrEqual(MEGABYTE);
});

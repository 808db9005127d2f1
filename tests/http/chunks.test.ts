import { expect, test } from 'vitest';
import { Chunks } from '../../src/http/chunks.ts';
import { collectGarbage } from '../../src/image/garbage.ts';

const heap = () => {
  collectGarbage();
  return process.memoryUsage().heapUsed;
};

test('a body in chunks of a byte takes about as much memory as its bytes', () => {
  const body = Buffer.from(Array.from({ length: 500_000 }, (_, i) => i % 251));
  const chunks = new Chunks();
  const before = heap();
  for (let at = 0; at < body.length; at++) chunks.add(body.subarray(at, at + 1));
  expect(heap() - before).toBeLessThan(10_000_000); // a Buffer for each byte would take more than 40 MB
  expect(chunks.concat().equals(body)).toBe(true);
  chunks.clear();
  expect(chunks.concat()).toHaveLength(0);
});

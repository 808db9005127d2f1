import { expect, test } from 'vitest';
import { uncertainty } from '../../src/image/uncertainty.ts';
import { maskOf, noise, plain } from './make.ts';

const hole = maskOf(3, 2, (x) => x > 0);

test('is 0 for equal candidates and for a single one', () => {
  const picture = noise(3, 2, 3);
  for (const count of [1, 2, 8]) {
    const map = uncertainty(
      Array.from({ length: count }, () => picture),
      hole,
    );
    expect([...map.data]).toEqual([0, 0, 0, 0, 0, 0]);
  }
});

test('a deviation of 64 gives 255, a deviation of 32 half of that, and outside the hole it is 0', () => {
  const around = (by: number) => [
    plain(3, 2, [100 - by, 100 - by, 100 - by]),
    plain(3, 2, [100 + by, 100 + by, 100 + by]),
  ];
  expect(uncertainty(around(64), hole)).toEqual({
    width: 3,
    height: 2,
    data: Uint8Array.of(0, 255, 255, 0, 255, 255),
  });
  expect(uncertainty(around(32), hole).data[1]).toBe(128);
  expect(uncertainty(around(100), hole).data[1]).toBe(255);
});

test('is the mean over red, green and blue, and ignores alpha', () => {
  const map = uncertainty([plain(3, 2, [0, 7, 7, 0]), plain(3, 2, [60, 7, 7, 255])], hole);
  expect(map.data[1]).toBe(Math.round((30 / 3) * (255 / 64)));
});

test('refuses candidates of another size than the mask', () => {
  expect(() => uncertainty([noise(4, 2, 3)], hole)).toThrow(expect.objectContaining({ code: 'mismatch' }));
});

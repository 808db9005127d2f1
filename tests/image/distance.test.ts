import fc from 'fast-check';
import { expect, test } from 'vitest';
import { distanceToKnown } from '../../src/image/distance.ts';
import { maskOf } from './make.ts';

test('is at most 8 % off the Euclidean distance to the nearest known pixel', () => {
  const size = fc.integer({ min: 1, max: 24 });
  fc.assert(
    fc.property(size, size, fc.array(fc.tuple(fc.nat(23), fc.nat(23)), { maxLength: 4 }), (w, h, known) => {
      const hole = maskOf(w, h, (x, y) => !known.some(([kx, ky]) => kx === x && ky === y));
      const inside = known.filter(([x, y]) => x < w && y < h);
      const distance = distanceToKnown(hole.data, w, h);
      for (let p = 0; p < w * h; p++) {
        const exact = Math.min(...inside.map(([x, y]) => Math.hypot(x - (p % w), y - Math.floor(p / w))));
        if (exact === 0 || exact === Number.POSITIVE_INFINITY) expect(distance[p]).toBe(exact);
        else expect(Math.abs(distance[p] / exact - 1)).toBeLessThanOrEqual(0.08);
      }
    }),
  );
});

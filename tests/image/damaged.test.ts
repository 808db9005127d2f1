import { beforeAll, describe, expect, test } from 'vitest';
import { decodePicture } from '../../src/image/decode.ts';
import { repairJpeg } from '../../src/image/jpeg.ts';
import { ORIGINAL, VARIANTS, type Variants } from './damaged.ts';
import { bytes, LIMITS, raw } from './make.ts';

const decode = (file: Buffer) =>
  decodePicture(file, 'image', LIMITS).then(
    () => 'accepted',
    (error: Error) => error.message,
  );

describe.each(Object.entries(VARIANTS))('%s with a fault', (name, make) => {
  let variants: Variants;
  beforeAll(async () => {
    variants = await make();
  });

  test('without influence on the pixels: it is accepted', async () => {
    for (const [fault, file] of Object.entries(variants.accepted)) {
      expect([fault, await decode(file)]).toEqual([fault, 'accepted']);
    }
  });

  test('that loses pixels: it is refused, and the message says why', async () => {
    for (const [fault, file] of Object.entries(variants.refused)) {
      expect([fault, await decode(file)]).toEqual([
        fault,
        expect.stringMatching(/^image (is incomplete: .*; send the whole file|cannot be decoded: )/),
      ]);
    }
    if (name === 'JPEG') expect(await decode(variants.refused.halved)).toMatch(/incomplete/);
  });
});

describe('repairJpeg', () => {
  test('returns a file without these faults as it is, and the pixels of a repaired one are the same', async () => {
    const { accepted, refused } = await VARIANTS.JPEG();
    const whole = accepted['no fault'];
    expect(repairJpeg(whole)).toBe(whole);
    for (const fault of ['no end marker', 'bytes before the tables', 'scan header: all three bytes']) {
      expect(repairJpeg(accepted[fault])).toEqual(whole);
    }
    expect(repairJpeg(refused['cut in the header'])).toBe(refused['cut in the header']);
  });

  test('ends on any bytes, and never makes a file longer than by an end marker', async () => {
    const start = await raw(ORIGINAL).jpeg().toBuffer();
    for (let seed = 0; seed < 300; seed++) {
      const length = 2 + seed * 3;
      const random = bytes(length, seed).map((byte) => (byte < 100 ? 0xff : byte));
      for (const file of [Buffer.from(random), Buffer.concat([start.subarray(0, 20 + seed), random])]) {
        expect(repairJpeg(file).length).toBeLessThanOrEqual(file.length + 2);
      }
    }
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { square } from '../../src/image/picture.ts';
import { maskToTensor, pictureToTensor, tensorToPicture } from '../../src/image/region.ts';
import { maskOf, noise, plain, scene, withOtherHole } from './make.ts';

const at = (tensor: Float32Array, r: number, c: number, x: number, y: number) =>
  tensor[c * r * r + y * r + x];

/** The pixel of a line of `size` pixels that a position beyond its ends mirrors. */
function mirror(at: number, size: number): number {
  const folded = ((at % (2 * size)) + 2 * size) % (2 * size);
  return folded < size ? folded : 2 * size - 1 - folded;
}

describe('pictureToTensor', () => {
  test('a box of R x R is copied exactly, channel by channel', async () => {
    const picture = noise(50, 40, 4);
    const tensor = await pictureToTensor(picture, { left: 7, top: 5, width: 16, height: 16 }, square(16));
    expect(tensor.length).toBe(3 * 16 * 16);
    for (let y = 0; y < 16; y++) {
      for (let x = 0; x < 16; x++) {
        for (let c = 0; c < 3; c++) {
          const byte = picture.data[((y + 5) * 50 + x + 7) * 4 + c];
          expect(at(tensor, 16, c, x, y)).toBe(Math.fround(byte / 127.5 - 1));
        }
      }
    }
  });

  test('is inverted by tensorToPicture', async () => {
    const picture = noise(32, 32, 3);
    const box = { left: 0, top: 0, width: 32, height: 32 };
    expect(tensorToPicture(await pictureToTensor(picture, box, square(32)), square(32))).toEqual(picture);
  });

  test('a part of the tensor becomes the same part of the picture', async () => {
    const picture = noise(32, 20, 3);
    const size = { width: 32, height: 20 };
    const tensor = await pictureToTensor(picture, { left: 0, top: 0, ...size }, size);
    const part = { left: 5, top: 3, width: 11, height: 9 };
    const { data, ...found } = tensorToPicture(tensor, size, part);
    expect(found).toEqual({ width: 11, height: 9, channels: 3 });
    for (let y = 0; y < 9; y++) {
      const from = ((3 + y) * 32 + 5) * 3;
      expect(data.slice(y * 33, y * 33 + 33)).toEqual(picture.data.slice(from, from + 33));
    }
  });

  test('outside the picture, pixels are mirrored', async () => {
    const row = Uint8Array.of(10, 10, 10, 20, 20, 20, 30, 30, 30);
    const picture = { width: 3, height: 1, channels: 3 as const, data: row };
    const tensor = await pictureToTensor(picture, { left: -4, top: -5, width: 11, height: 11 }, square(11));
    const bytes = [...tensorToPicture(tensor, square(11)).data].filter((_, i) => i % 3 === 0);
    for (let y = 0; y < 11; y++) {
      expect(bytes.slice(y * 11, y * 11 + 11)).toEqual([30, 30, 20, 10, 10, 20, 30, 30, 20, 10, 10]);
    }
  });

  test('boxes that are not square are resized without keeping the aspect ratio', async () => {
    const picture = plain(100, 10, [0, 0, 0]);
    for (let y = 0; y < 10; y++) picture.data.fill(255, (y * 100 + 50) * 3, (y * 100 + 100) * 3);
    const tensor = await pictureToTensor(picture, { left: 0, top: 0, width: 100, height: 10 }, square(20));
    expect(at(tensor, 20, 0, 2, 10)).toBe(-1);
    expect(at(tensor, 20, 0, 17, 10)).toBe(1);
  });

  test('shrinking does not alias: fine stripes become grey', async () => {
    const picture = plain(256, 256, [0, 0, 0]);
    for (let p = 0; p < 256 * 256; p += 2) picture.data.fill(255, p * 3, p * 3 + 3);
    const tensor = await pictureToTensor(picture, { left: 0, top: 0, width: 256, height: 256 }, square(32));
    for (let i = 0; i < 32; i++) expect(Math.abs(at(tensor, 32, 1, i, 16))).toBeLessThan(0.05);
  });

  test('known pixels next to the hole keep their colour when the box is shrunk', async () => {
    const picture = plain(256, 256, [180, 120, 60]);
    const mask = maskOf(256, 256, (x, y) => x >= 101 && x < 171 && y >= 90 && y < 160);
    const painted = withOtherHole(picture, mask, 3);
    const tensor = await pictureToTensor(
      painted,
      { left: 0, top: 0, width: 256, height: 256 },
      square(64),
      mask,
    );
    for (let p = 0; p < 64 * 64; p++) expect(tensor[p]).toBeCloseTo(180 / 127.5 - 1, 5);
  });

  test('the hole is filled with a smooth transition between its surroundings', async () => {
    const picture = plain(64, 64, [0, 0, 0]);
    for (let y = 0; y < 64; y++) picture.data.fill(255, (y * 64 + 32) * 3, (y * 64 + 64) * 3);
    const mask = maskOf(64, 64, (x) => x >= 12 && x < 52);
    const tensor = await pictureToTensor(
      picture,
      { left: 0, top: 0, width: 64, height: 64 },
      square(64),
      mask,
    );
    expect(at(tensor, 64, 0, 12, 30)).toBeLessThan(-0.5);
    expect(at(tensor, 64, 0, 51, 30)).toBeGreaterThan(0.5);
    for (let x = 1; x < 64; x++) {
      expect(Math.abs(at(tensor, 64, 0, x, 30) - at(tensor, 64, 0, x - 1, 30))).toBeLessThan(0.4);
    }
  });

  test('a picture without known pixels becomes mid-grey', async () => {
    const tensor = await pictureToTensor(
      noise(20, 30, 3),
      { left: 0, top: 0, width: 20, height: 30 },
      square(16),
      maskOf(20, 30, () => true),
    );
    for (const value of tensor) expect(Math.abs(value)).toBeLessThan(0.01);
  });

  test('the content of the hole has no influence', async () => {
    await fc.assert(
      fc.asyncProperty(
        scene,
        fc.constantFrom(8, 32, 64),
        fc.nat(),
        async ({ picture, mask, box }, r, seed) => {
          const one = await pictureToTensor(picture, box, square(r), mask);
          const other = await pictureToTensor(withOtherHole(picture, mask, seed), box, square(r), mask);
          expect(Buffer.compare(Buffer.from(one.buffer), Buffer.from(other.buffer))).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('maskToTensor', () => {
  test('a pixel of the tensor is 1 if and only if it overlaps a hole pixel of the box', () => {
    fc.assert(
      fc.property(scene, fc.constantFrom(1, 7, 32), ({ mask, box }, r) => {
        const tensor = maskToTensor(mask, box, square(r));
        for (let j = 0; j < r; j++) {
          for (let i = 0; i < r; i++) {
            // The pixels that overlap the open interval (i, i + 1) * width / r.
            let hole = 0;
            for (let y = Math.floor((j * box.height) / r); y * r < (j + 1) * box.height; y++) {
              for (let x = Math.floor((i * box.width) / r); x * r < (i + 1) * box.width; x++) {
                const [px, py] = [mirror(x + box.left, mask.width), mirror(y + box.top, mask.height)];
                if (mask.data[py * mask.width + px] === 255) hole = 1;
              }
            }
            if (tensor[j * r + i] !== hole)
              throw new Error(`cell ${i}, ${j}: ${tensor[j * r + i]}, not ${hole}`);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test('a hole of one pixel in a large picture is not lost', () => {
    const mask = maskOf(4000, 100, (x, y) => x === 2345 && y === 50);
    const tensor = maskToTensor(mask, { left: 0, top: 0, width: 4000, height: 100 }, square(64));
    expect(tensor.reduce((a, b) => a + b)).toBe(1);
    expect(tensor[32 * 64 + Math.floor((2345 * 64) / 4000)]).toBe(1);
  });
});

test('tensorToPicture clips and rounds', () => {
  const tensor = Float32Array.of(-9, -1, 0, 1, 1, 2, 0.5, 0.004, -1, -1, -0.004, 0.99);
  const { data } = tensorToPicture(tensor, square(2));
  expect([...data]).toEqual([0, 255, 0, 0, 255, 0, 128, 191, 127, 255, 128, 254]);
});

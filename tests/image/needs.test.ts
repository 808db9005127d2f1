import { describe, expect, test } from 'vitest';
import { decodePicture } from '../../src/image/decode.ts';
import { growMask } from '../../src/image/grow.ts';
import { readHeader } from '../../src/image/header.ts';
import { boundingBox } from '../../src/image/mask.ts';
import { decodeMask } from '../../src/image/mask-reading.ts';
import { inpaintNeeds, levelPixelsOf } from '../../src/image/needs.ts';
import type { Box, Mask, Picture } from '../../src/image/picture.ts';
import { levelPixels } from '../../src/image/regions/level.ts';
import { planRegions } from '../../src/image/regions/plan.ts';
import { LIMITS, maskOf, noise, raw } from './make.ts';

const WINDOW = 64;
const use = { window: WINDOW, steps: 1 };
const plan = (mask: Mask, refiner?: typeof use) =>
  planRegions(mask, boundingBox(mask) as Box, { base: use, refiner, maxEvaluations: 1e6 });
const held = ({ data, data16 }: Picture) => data.byteLength + (data16?.byteLength ?? 0);
const heldMask = ({ data, weights }: Mask) => data.byteLength + (weights?.byteLength ?? 0);

describe('what is reserved covers what is held', () => {
  test.each([
    ['8 bits', 'srgb', 3],
    ['8 bits with alpha', 'srgb', 4],
    ['16 bits', 'rgb16', 3],
    ['16 bits with alpha', 'rgb16', 4],
    ['16 bits, grey', 'grey16', 3],
  ] as const)('%s, with a soft mask that is grown', async (_, space, channels) => {
    const image = await raw(noise(50, 40, channels))
      .toColourspace(space)
      .png()
      .toBuffer();
    const soft = { ...noise(50, 40, 3), data: new Uint8Array(50 * 40 * 3).fill(200) };
    const mask = await raw(soft).png().toBuffer();
    const headers = [await readHeader(image, 'image', LIMITS), await readHeader(mask, 'mask', LIMITS)];
    const picture = await decodePicture(image, 'image', LIMITS);
    const hole = await decodeMask(mask, 'mask', LIMITS);
    expect(hole.weights).toBeDefined();
    const options = { numImages: 1, format: 'png', grow: true } as const;
    const { input, total } = inpaintNeeds(headers[0], headers[1], options);
    const all = held(picture) + heldMask(hole) + heldMask(growMask(hole, 1));
    expect(input).toBeGreaterThanOrEqual(all);
    const file = await raw(picture).toColourspace(space).png().toBuffer();
    expect(total).toBeGreaterThanOrEqual(input + held(picture) + file.length);
  });

  test.each([
    ['a thin line across the picture', (x: number, y: number) => Math.abs(x - y) < 3],
    ['a large hole', (x: number, y: number) => Math.min(x, y) > 50 && Math.max(x, y) < 350],
  ])('the tensors of %s', async (_, isHole) => {
    const picture = noise(400, 400, 3);
    const mask = maskOf(400, 400, isHole);
    const regions = plan(mask, use);
    let [known, fills] = [0, 0];
    for (const { levels } of regions.regions) {
      for (const level of levels) {
        const { x0, mask: hole } = levelPixels(picture, mask, level);
        known += x0.byteLength + hole.byteLength;
      }
      const { width, height } = levels[levels.length - 1].canvas;
      fills += 3 * width * height * Float32Array.BYTES_PER_ELEMENT;
    }
    const header = await readHeader(await raw(picture).png().toBuffer(), 'image', LIMITS);
    const more = (numImages: number) =>
      inpaintNeeds(header, header, { numImages, format: 'png', plan: regions }).total -
      inpaintNeeds(header, header, { numImages, format: 'png' }).total;
    const candidate = more(2) - more(1);
    expect(candidate).toBeGreaterThanOrEqual(2 * fills); // and what they are made from
    expect(more(1) - candidate).toBeGreaterThanOrEqual(known);
  });
});

describe('a picture that is narrower than a window', () => {
  test('is not mirrored at its own resolution', () => {
    const picture = { width: 1, height: 6000 };
    const mask = { ...picture, data: new Uint8Array(6000).fill(255) };
    const [{ levels }] = plan(mask).regions;
    expect(levels[0].level).toBe(7);
    expect(levelPixelsOf(levels[0], picture)).toBe(2 ** 7 * 47 * 2 ** 7);
  });
});

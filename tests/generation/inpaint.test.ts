import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { STRATEGIES } from '../../src/generation/parameters.ts';
import { sample } from '../../src/generation/sample.ts';
import type { Mask, Picture } from '../../src/image/picture.ts';
import type { FolderRegistry } from '../../src/registry/registry.ts';
import { type FillParameters, fill, holed } from '../helpers/holed.ts';
import { openRealRegistry } from '../helpers/model.ts';

const PARAMETERS: FillParameters = {
  seed: 42,
  numImages: 1,
  sampler: 'ddim',
  steps: 4,
  eta: 0,
  strategy: 'auto',
  maskBlur: 0,
};

/** A picture whose colours change from pixel to pixel, so that any shifted or modified pixel is detected. */
function picture(width: number, height: number, channels: 3 | 4 = 3): Picture {
  const data = new Uint8Array(width * height * channels);
  for (let i = 0; i < data.length; i++) data[i] = (i * 97 + (i >> 8) * 13) & 255;
  return { width, height, channels, data };
}

function hole(width: number, height: number, left: number, top: number, w: number, h: number): Mask {
  const data = new Uint8Array(width * height);
  for (let y = top; y < top + h; y++) data.fill(255, y * width + left, y * width + left + w);
  return { width, height, data };
}

function disc(width: number, height: number, x: number, y: number, radius: number): Mask {
  const inside = (p: number) => Math.hypot((p % width) - x, Math.floor(p / width) - y) <= radius;
  return {
    width,
    height,
    data: Uint8Array.from({ length: width * height }, (_, p) => (inside(p) ? 255 : 0)),
  };
}

function expectKnownUntouched(before: Picture, after: Picture, mask: Mask) {
  expect([after.width, after.height, after.channels]).toEqual([before.width, before.height, before.channels]);
  let changed = 0;
  for (let p = 0; p < mask.data.length; p++) {
    if (mask.data[p] !== 0) continue;
    for (let c = 0; c < before.channels; c++) {
      if (before.data[p * before.channels + c] !== after.data[p * before.channels + c]) changed++;
    }
  }
  expect(changed).toBe(0);
}

describe('with the real model', () => {
  let registry: FolderRegistry;
  beforeAll(async () => {
    registry = await openRealRegistry();
    await registry.get().open();
  });
  afterAll(() => registry.close());
  const model = () => registry.get();

  test('fills the hole and leaves all other bytes unchanged, from 40 x 40 to 4000 x 3000', async () => {
    for (const [width, height] of [
      [40, 40],
      [64, 64],
      [333, 250],
      [1280, 720],
      [4000, 3000],
    ]) {
      for (const channels of [3, 4] as const) {
        const before = picture(width, height, channels);
        const [w, h] = [Math.min(150, Math.ceil(width / 5)), Math.min(150, Math.ceil(height / 4))];
        const mask = hole(width, height, width >> 1, height >> 2, w, h);
        const { pictures, box } = await fill(model(), holed(before, mask), PARAMETERS);
        expectKnownUntouched(before, pictures[0], mask);
        const inside = ((height >> 2) * width + (width >> 1)) * channels;
        expect(pictures[0].data.subarray(inside, inside + w * channels)).not.toEqual(
          before.data.subarray(inside, inside + w * channels),
        );
        expect(box.width).toBeLessThanOrEqual(width);
      }
    }
  });

  test('known pixels are unchanged for any size, hole and strategy', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 200 }),
        fc.constantFrom(...STRATEGIES),
        fc.integer({ min: 0, max: 9 }),
        fc.infiniteStream(fc.boolean()),
        async (width, height, strategy, maskBlur, bits) => {
          const data = Uint8Array.from({ length: width * height }, () => (bits.next().value ? 255 : 0));
          data[0] = 255;
          const mask = { width, height, data };
          const before = picture(width, height);
          const parameters = { ...PARAMETERS, steps: 1, strategy, maskBlur } as FillParameters;
          const { pictures } = await fill(model(), holed(before, mask), parameters);
          expectKnownUntouched(before, pictures[0], mask);
        },
      ),
      { numRuns: 20 },
    );
  });

  test('the old content of the hole has no influence', async () => {
    const mask = hole(96, 96, 30, 30, 40, 30);
    const one = picture(96, 96);
    const other: Picture = {
      ...one,
      data: one.data.map((b, i) => (mask.data[Math.floor(i / 3)] ? 255 - b : b)),
    };
    const [a, b] = await Promise.all(
      [one, other].map((before) => fill(model(), holed(before, mask), PARAMETERS)),
    );
    expect(a.pictures[0].data).toEqual(b.pictures[0].data);
  });

  test('two holes far apart are filled as each is alone, with the same seed', async () => {
    const before = picture(600, 300);
    const discs = [150, 450].map((x) => disc(600, 300, x, 150, 14));
    const both = { ...discs[0], data: discs[0].data.map((value, p) => value | discs[1].data[p]) };
    const filled = async (mask: Mask) =>
      (await fill(model(), holed(before, mask), PARAMETERS)).pictures[0].data;
    const [first, second, together] = [await filled(discs[0]), await filled(discs[1]), await filled(both)];
    const expected = before.data.map((value, i) => {
      const p = Math.floor(i / 3);
      if (discs[0].data[p]) return first[i];
      return discs[1].data[p] ? second[i] : value;
    });
    expect(Buffer.compare(together, expected)).toBe(0);
  });

  test.each([
    [64, 'resize', ['ddim', 'ddpm', 'dpmpp_2m']],
    [96, 'windows', ['ddpm']],
  ] as const)('the same seed gives the same bytes: alone, together with seven others, and after a restart: %i px, %s', async (side, strategy, samplers) => {
    const input = holed(picture(side, side), hole(side, side, 16, 16, 32, 32));
    const fresh = await openRealRegistry();
    onTestFinished(() => fresh.close());
    for (const sampler of samplers) {
      const mine = { ...PARAMETERS, sampler, steps: 6 };
      const alone = await fill(model(), input, mine);
      expect(alone.region.strategy).toBe(strategy);
      const others = Array.from({ length: 7 }, (_, i) =>
        fill(model(), input, {
          ...PARAMETERS,
          seed: i,
          steps: 3 + i,
          sampler: i % 2 ? 'ddpm' : 'ddim',
          numImages: 1 + (i % 3),
        }),
      );
      const [beside] = await Promise.all([fill(model(), input, mine), ...others]);
      expect(beside.pictures[0].data).toEqual(alone.pictures[0].data);

      const restarted = await fill(fresh.get(), input, mine);
      expect(restarted.pictures[0].data).toEqual(alone.pictures[0].data);
    }
  });

  test.each([
    [64, 'resize'],
    [96, 'windows'],
  ])('seeds and candidates differ, and candidate n does not depend on num_images: %i px, %s', async (side, strategy) => {
    const input = holed(picture(side, side), hole(side, side, 16, 16, 32, 32));
    const three = await fill(model(), input, { ...PARAMETERS, numImages: 3 });
    const one = await fill(model(), input, PARAMETERS);
    const other = await fill(model(), input, { ...PARAMETERS, seed: 43 });
    expect(one.region.strategy).toBe(strategy);
    expect(three.pictures[0].data).toEqual(one.pictures[0].data);
    const different = [...three.pictures, ...other.pictures].map(({ data }) =>
      Buffer.from(data).toString('hex'),
    );
    expect(new Set(different).size).toBe(4);
    expect(three.uncertainty?.data.some((sd) => sd > 0)).toBe(true);
    expect(three.uncertainty?.data.every((sd, p) => sd === 0 || (p % side >= 16 && p % side < 48))).toBe(
      true,
    );
    expect(one.uncertainty).toBeUndefined();
  });

  test('a mask that covers the whole picture gives an unconditional sample', async () => {
    const everything = holed(picture(64, 64), hole(64, 64, 0, 0, 64, 64));
    const { pictures } = await fill(model(), everything, PARAMETERS);
    const drawn = await sample(model(), PARAMETERS);
    expect(pictures[0].data).toEqual(drawn.pictures[0].data);
  });

  test('aborting a request frees its place in the queue', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const steps: number[] = [];
    const onProgress = ({ step }: { step: number }) => {
      steps.push(step);
      if (step === 5) controller.abort(new Error('gone'));
    };
    const running = sample(model(), { ...PARAMETERS, steps: 500, numImages: 4 }, { signal, onProgress });
    await expect(running).rejects.toThrow('gone');
    expect(steps).toEqual([1, 2, 3, 4, 5]);
    expect(model().scheduler?.depth).toEqual({ waiting: 0, active: 0 });
  });
});

import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { measureHole } from '../../../src/image/mask.ts';
import type { Mask } from '../../../src/image/picture.ts';
import { levelPixels } from '../../../src/image/regions/level.ts';
import { holeParts } from '../../../src/image/regions/parts.ts';
import { type Plan, planRegions } from '../../../src/image/regions/plan.ts';
import { toPicture } from '../../../src/image/regions/windows.ts';
import { maskOf } from '../make.ts';

const OPTIONS = { base: { window: 64, steps: 12 }, refiner: { window: 64, steps: 6 }, maxEvaluations: 4000 };

const plan = (mask: Mask, options = {}) =>
  planRegions(mask, measureHole(mask).box, { ...OPTIONS, ...options });
const box = (left: number, top: number, width: number, height: number) => (x: number, y: number) =>
  x >= left && x < left + width && y >= top && y < top + height;
const levels = ({ regions }: Plan) => regions.map((region) => region.levels.map(({ level }) => level));

/** Every pixel of the hole lies in a window of each level, and windows lie in their canvas. */
function expectCovered(mask: Mask, { regions }: Plan) {
  for (const last of [false, true]) {
    const covered = new Uint8Array(mask.data.length);
    for (const region of regions) {
      const level = last ? region.levels.at(-1) : region.levels[0];
      if (!level) throw new Error('a region without levels');
      for (const window of level.windows) {
        expect(window.left).toBeGreaterThanOrEqual(level.canvas.left);
        expect(window.left + window.width).toBeLessThanOrEqual(level.canvas.left + level.canvas.width);
        expect(window.top).toBeGreaterThanOrEqual(level.canvas.top);
        expect(window.top + window.height).toBeLessThanOrEqual(level.canvas.top + level.canvas.height);
        const { left, top, width, height } = toPicture(window, level.level);
        for (let y = top; y < Math.min(mask.height, top + height); y++)
          covered.fill(1, y * mask.width + left, y * mask.width + Math.min(mask.width, left + width));
      }
    }
    const missed = mask.data.findIndex((value, p) => value === 255 && covered[p] === 0);
    expect(missed, `pixel ${missed % mask.width}, ${Math.floor(missed / mask.width)} is in no window`).toBe(
      -1,
    );
  }
}

/**
 * The number of hole pixels in a region's canvases that lie in none of its windows: its fill would say nothing of them, and
 * would be pasted there. Beyond the picture's edges, only levels that are refined count.
 */
function uncovered(mask: Mask, { regions }: Plan): number {
  const picture = { ...mask, channels: 3 as const, data: new Uint8Array(3 * mask.width * mask.height) };
  let count = 0;
  for (const { levels } of regions) {
    for (const level of levels) {
      const { canvas, windows } = level;
      const last = level === levels.at(-1);
      const { mask: hole } = levelPixels(picture, mask, level);
      for (let p = 0; p < hole.length; p++) {
        const [x, y] = [canvas.left + (p % canvas.width), canvas.top + Math.floor(p / canvas.width)];
        if (hole[p] === 0) continue;
        if (last && (x * 2 ** level.level >= mask.width || y * 2 ** level.level >= mask.height)) continue;
        if (!windows.some((w) => box(w.left, w.top, w.width, w.height)(x, y))) count++;
      }
    }
  }
  return count;
}

describe('the steps of a region', () => {
  const steps = ({ regions }: Plan) => regions.map((region) => region.levels.map((level) => level.steps));
  const line = (x: number, y: number) => Math.abs(x - y) < 2;
  const thin = maskOf(512, 512, line);

  test('are few where it is thin, and never more than were asked for', () => {
    expect(steps(plan(thin))).toEqual([[3]]);
    for (const few of [2, 4])
      expect(steps(plan(thin, { base: { window: 64, steps: few } }))).toEqual([[few]]);
    expect(plan(thin).evaluations).toBe(3 * plan(thin).regions[0].levels[0].windows.length);
  });

  test('are those that were asked for where a part of it is not thin', () => {
    const blob = box(250, 250, 14, 14);
    expect(steps(plan(maskOf(512, 512, (x, y) => line(x, y) || blob(x, y))))).toEqual([[12]]);
    const apart = maskOf(512, 512, (x, y) => (line(x, y) && x < 100) || box(400, 400, 12, 12)(x, y));
    expect(steps(plan(apart))).toEqual([[3], [12]]);
  });

  test('are few where two scratches cross', () => {
    const other = (x: number, y: number) => Math.abs(x - 2 * y + 300) < 7;
    const crossed = maskOf(512, 600, (x, y) => Math.abs(x - y) < 5 || other(x, y));
    expect(steps(plan(crossed))).toEqual([[3]]);
  });

  test('are those that were asked for where it starts at a coarser level, without enough evaluations', () => {
    const { regions } = plan(thin, { maxEvaluations: 40 });
    expect(regions[0].levels[0].level).toBeGreaterThan(0);
    expect(regions[0].levels[0].steps).toBe(12);
  });
});

describe('the level that a hole starts at', () => {
  test('a thin scratch across a large picture starts at the picture’s own resolution', () => {
    const mask = maskOf(512, 512, (x, y) => Math.abs(x - y) < 2);
    expect(levels(plan(mask))).toEqual([[0]]);
    expectCovered(mask, plan(mask));
  });

  test('a hole of up to 0.3 of a window starts at the picture’s own resolution, in one window', () => {
    const { regions, evaluations } = plan(maskOf(512, 512, box(206, 206, 18, 18)));
    expect(regions).toHaveLength(1);
    expect(regions[0].levels).toEqual([
      {
        level: 0,
        network: 'base',
        canvas: { left: 183, top: 183, width: 64, height: 64 },
        windows: [{ left: 183, top: 183, width: 64, height: 64 }],
        steps: 12,
      },
    ]);
    expect(evaluations).toBe(12);
  });

  test('a larger hole starts where it is small enough, and is refined from there', () => {
    const found = plan(maskOf(2048, 2048, box(900, 900, 300, 300)));
    expect(levels(found)).toEqual([[4, 3, 2, 1, 0]]);
    const [first, ...further] = found.regions[0].levels;
    expect(first.network).toBe('base');
    expect(further.every(({ network }) => network === 'refiner')).toBe(true);
    const windows = further.reduce((sum, level) => sum + level.windows.length, 0);
    expect(found.evaluations).toBe(12 * first.windows.length + 6 * windows);
  });

  test('a hole starts no coarser than four doublings below the picture’s resolution if a window shows enough there', () => {
    const starts = [18, 20, 38, 40, 300, 320, 600, 640].map((side) => {
      const { regions } = plan(maskOf(4096, 4096, box(900, 900, side, side)), { maxEvaluations: 1e9 });
      return regions[0].levels.map(({ level }) => level);
    });
    expect(starts.map(([start]) => start)).toEqual([0, 1, 1, 2, 4, 4, 4, 5]);
    expect(starts.map((each) => each.at(-1))).toEqual([0, 0, 0, 0, 0, 0, 0, 1]);
  });

  test('it is never coarser than the level at which the whole picture fits into a window', () => {
    const everything = maskOf(300, 200, () => true);
    expect(levels(plan(everything))).toEqual([[3, 2, 1, 0]]);
    expectCovered(everything, plan(everything));
  });

  test('without a refiner, a large hole ends at the level that it starts at', () => {
    const mask = maskOf(2048, 2048, box(900, 900, 300, 300));
    expect(levels(plan(mask, { refiner: undefined }))).toEqual([[3]]);
  });

  test('the refiner doubles four times at most', () => {
    expect(levels(plan(maskOf(4000, 4000, box(1000, 1000, 2000, 2000)), { maxEvaluations: 1e9 }))).toEqual([
      [6, 5, 4, 3, 2],
    ]);
  });
});

test('base model and refiner have windows of their own size', () => {
  const mask = maskOf(512, 512, box(150, 150, 200, 200));
  const found = plan(mask, { base: { window: 128, steps: 12 } });
  expect(levels(found)).toEqual([[2, 1, 0]]);
  const sides = found.regions[0].levels.map(({ windows }) => new Set(windows.map(({ width }) => width)));
  expect(sides).toEqual([new Set([128]), new Set([64]), new Set([64])]);
  expectCovered(mask, found);
});

describe('parts', () => {
  test('holes far apart are filled independently, each at its own level', () => {
    const [small, large] = [box(50, 50, 20, 20), box(700, 700, 100, 100)];
    const mask = maskOf(1024, 1024, (x, y) => small(x, y) || large(x, y));
    expect(levels(plan(mask))).toEqual([
      [1, 0],
      [3, 2, 1, 0],
    ]);
    expectCovered(mask, plan(mask));
  });

  test('a hole that another one’s windows would show is filled together with it', () => {
    const [small, large] = [box(190, 190, 20, 20), box(250, 250, 100, 100)];
    const mask = maskOf(1024, 1024, (x, y) => small(x, y) || large(x, y));
    expect(levels(plan(mask))).toEqual([[3, 2, 1, 0]]);
  });

  test('a hole that only the larger windows of the refiner would show is filled together with it, too', () => {
    const holes = [box(900, 900, 40, 40), box(1130, 900, 20, 20)];
    const mask = maskOf(2000, 2000, (x, y) => holes.some((hole) => hole(x, y)));
    expect(plan(mask).regions.length).toBe(2);
    const found = plan(mask, { refiner: { window: 512, steps: 6 } });
    expect(found.regions.length).toBe(1);
    expect(uncovered(mask, found)).toBe(0);
  });

  test('10,000 specks are merged into a bounded number of parts and windows', () => {
    const mask = maskOf(2000, 2000, (x, y) => x % 20 === 0 && y % 20 === 0);
    expect(holeParts(mask, measureHole(mask).box).length).toBeLessThanOrEqual(32);
    const found = plan(mask);
    expect(found.evaluations).toBeLessThanOrEqual(OPTIONS.maxEvaluations);
    expectCovered(mask, found);
  });

  test('far specks beyond the largest number of parts are grouped by larger cells', () => {
    const mask = maskOf(3000, 3000, (x, y) => x % 300 === 7 && y % 300 === 7);
    const parts = holeParts(mask, measureHole(mask).box);
    expect(parts.length).toBeLessThanOrEqual(32);
    const [{ box: first }] = parts;
    expect([first.left, first.top]).toEqual([7, 7]);
  });

  test('the thickness is twice the largest distance from a known pixel; beyond the picture nothing is known', () => {
    const measure = (mask: Mask) => holeParts(mask, measureHole(mask).box)[0].thickness;
    expect(measure(maskOf(100, 100, (x) => x >= 50 && x < 53))).toBe(4);
    expect(measure(maskOf(100, 100, (x) => x < 10))).toBe(20);
    expect(measure(maskOf(100, 100, () => true))).toBe(Number.POSITIVE_INFINITY);
    expect(measure(maskOf(2000, 2000, box(100, 100, 1200, 1200)))).toBeGreaterThan(1100);
    expect(measure(maskOf(2000, 2000, box(100, 100, 1200, 1200)))).toBeLessThan(1250);
  });

  test.each([
    [14, 500],
    [30, 501],
    [60, 502],
    [100, 503],
  ])('a stroke of %i px is as thick, and filled alike, however long it is and wherever it begins', (thick, top) => {
    const found = (length: number) => {
      const mask = maskOf(4000, 1000, (x, y) => x >= 40 && x < 40 + length && y >= top && y < top + thick);
      return { thickness: holeParts(mask, measureHole(mask).box)[0].thickness, levels: levels(plan(mask)) };
    };
    expect(found(3900)).toEqual({ thickness: thick, levels: found(200).levels });
  });

  test('a stroke across a large picture is measured to a few pixels', () => {
    const mask = maskOf(4000, 3000, (x, y) => x >= 100 && Math.abs(0.7 * x - y) < 18);
    const [{ thickness }] = holeParts(mask, measureHole(mask).box);
    expect(thickness).toBeGreaterThan(25); // 29.5
    expect(thickness).toBeLessThan(34);
  });

  test('a large part beside it does not make the measure of a small one coarse', () => {
    const small = box(3000, 20, 200, 9);
    const mask = maskOf(4000, 3000, (x, y) => small(x, y) || (x >= 100 && Math.abs(0.7 * x - y) < 18));
    const thickness = holeParts(mask, measureHole(mask).box).map((part) => part.thickness);
    expect(thickness).toContain(10);
  });

  test('nor do small parts beside it make the measure of a large one coarse', () => {
    const cross = (x: number, y: number) => Math.abs(x - 2003) < 10 || Math.abs(y - 2003) < 10;
    const speck = (x: number, y: number) => y < 3 && x % 130 < 3 && x < 1900;
    const thickest = (inHole: (x: number, y: number) => boolean) => {
      const mask = maskOf(2048, 2048, inHole);
      return Math.max(...holeParts(mask, measureHole(mask).box).map((part) => part.thickness));
    };
    const alone = (x: number, y: number) => y > 100 && cross(x, y);
    expect(thickest((x, y) => alone(x, y) || speck(x, y))).toBe(thickest(alone));
  });

  test('a stroke that vanishes in the shrunk copy is not counted as one without a thickness', () => {
    const mask = maskOf(6000, 6000, (x, y) => Math.abs(x - y) < 2);
    const [{ thickness }] = holeParts(mask, measureHole(mask).box);
    expect(thickness).toBeGreaterThan(0);
    expect(thickness).toBeLessThan(8);
  });

  test('two specks in opposite corners: each row is searched by itself', () => {
    const mask = maskOf(1000, 3000, () => false);
    mask.data[0] = 255;
    mask.data[mask.data.length - 1] = 255;
    const search = vi.spyOn(Uint8Array.prototype, 'indexOf');
    expect(holeParts(mask, measureHole(mask).box)).toMatchObject([{ thickness: 2 }, { thickness: 2 }]);
    expect(search.mock.contexts.length).toBeGreaterThan(0);
    for (const searched of search.mock.contexts)
      expect((searched as Uint8Array).length).toBeLessThanOrEqual(mask.width);
    search.mockRestore();
  });
});

describe('the bound on evaluations', () => {
  test('a plan with more stops at a coarser level', () => {
    const mask = maskOf(2048, 2048, box(900, 900, 300, 300));
    const full = plan(mask);
    const bounded = plan(mask, { maxEvaluations: full.evaluations - 1 });
    expect(levels(bounded)).toEqual([[4, 3, 2, 1]]);
    expect(bounded.evaluations).toBeLessThan(full.evaluations);
  });

  test('a thin hole then starts at a coarser level', () => {
    const mask = maskOf(2048, 2048, (x, y) => Math.abs(x - y) < 2);
    expect(levels(plan(mask, { maxEvaluations: 500 }))[0][0]).toBeGreaterThan(0);
    expect(plan(mask, { maxEvaluations: 500 }).evaluations).toBeLessThanOrEqual(500);
  });
});

test('a narrow picture: the mirrored hole beyond its edge lies in windows too where it is refined', () => {
  const mask = maskOf(800, 120, box(300, 15, 90, 90));
  const found = plan(mask, { base: { window: 128, steps: 12 } });
  expect(levels(found)).toEqual([[2, 1, 0]]);
  expect(uncovered(mask, found)).toBe(0);
});

test('without enough evaluations, holes that the coarser windows show together share a region', () => {
  const holes = [box(100, 100, 12, 12), box(400, 100, 12, 12)];
  const mask = maskOf(1024, 1024, (x, y) => holes.some((hole) => hole(x, y)));
  expect(plan(mask).regions.length).toBe(2);
  const coarse = plan(mask, { maxEvaluations: 12 });
  expect(coarse.regions.length).toBe(1);
  expect(uncovered(mask, coarse)).toBe(0);
});

test('any hole of any picture is covered by windows, within the bound', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 400 }),
      fc.integer({ min: 1, max: 400 }),
      fc.array(
        fc.tuple(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 150 }), fc.integer({ min: 1, max: 150 })),
        {
          minLength: 1,
          maxLength: 4,
        },
      ),
      fc.constantFrom([8, 8], [8, 64], [64, 64], [64, 128], [128, 64]),
      (width, height, boxes, [window, refiner]) => {
        const holes = boxes.map(([x, y, w, h]) => box(x % width, y % height, w, h));
        const mask = maskOf(width, height, (x, y) => holes.some((hole) => hole(x, y)));
        const uses = { base: { window, steps: 12 }, refiner: { window: refiner, steps: 6 } };
        const found = plan(mask, uses);
        expectCovered(mask, found);
        expect(uncovered(mask, found)).toBe(0);
        expect(uncovered(mask, plan(mask, { ...uses, maxEvaluations: 100 }))).toBe(0);
        if (window >= 64) expect(found.evaluations).toBeLessThanOrEqual(OPTIONS.maxEvaluations);
      },
    ),
    { numRuns: 60 },
  );
});

import { describe, expect, test } from 'vitest';
import { cosine } from '../../src/diffusion/schedule.ts';
import {
  createTrajectory,
  type DenoisingTrajectory,
  type StageSpec,
  type WindowedSpec,
} from '../../src/generation/trajectories/create.ts';
import { enlargedAt } from '../../src/generation/trajectories/enlarge.ts';
import type { LevelInput } from '../../src/generation/trajectories/joint.ts';
import { sharpened, sharpening } from '../../src/generation/trajectories/sharpen.ts';
import { shrunk } from '../../src/generation/trajectories/shown.ts';
import { ThreadedTrajectory } from '../../src/generation/trajectories/threaded.ts';

const R = 16;
const SCHEDULE = { type: 'cosine', T: 100, s: 0.008, abar_min: 1e-5 } as const;
const abar = cosine(100).abar;

/** A level of `width` x R pixels, all of whose pixels from `hole` on are hole, in windows that start at the given columns. */
function level(
  level: number,
  network: 'base' | 'refiner',
  width: number,
  hole: number,
  starts: number[],
): LevelInput {
  const mask = Float32Array.from({ length: width * R }, (_, p) => (p % width >= hole ? 1 : 0));
  const x0 = Float32Array.from({ length: 3 * width * R }, (_, i) => Math.sin(i));
  const windows = starts.map((left) => ({ left, top: 0, width: R, height: R }));
  const canvas = { left: 0, top: 0, width, height: R };
  return { level, network, canvas, windows, x0, mask, holePixels: (width - hole) * R, steps: 4 };
}

function spec(changes: Partial<WindowedSpec> = {}): WindowedSpec {
  const sampling = {
    schedule: SCHEDULE,
    prediction: 'v',
    sampler: { name: 'ddpm', steps: 4, eta: 0 },
  } as const;
  const refining = { noise: 0.1, noiseMax: 0.3 };
  const coarse = { region: 0, input: level(1, 'base', 24, 4, [0, 8]) };
  const fine = { region: 0, input: level(0, 'refiner', 40, 8, [0, 12, 24]) };
  return {
    method: 'windows',
    stages: [
      { network: 'base', ...sampling, levels: [coarse] },
      { network: 'refiner', ...sampling, refining, levels: [fine] },
    ],
    seed: 5,
    candidate: 1,
    ...changes,
  };
}

/** v for a network that estimates x_0 = `estimate` everywhere. */
function predict({ x, t }: { x: Float32Array; t: number }, estimate: number): Float32Array {
  return predictEach({ x, t }, () => estimate);
}

/** The same for an estimate of each value. */
function predictEach({ x, t }: { x: Float32Array; t: number }, estimate: (i: number) => number) {
  const [a, b] = [Math.sqrt(abar[t]), Math.sqrt(1 - abar[t])];
  return Float32Array.from({ length: 3 * R * R }, (_, i) => (a * x[i] - estimate(i)) / b);
}

/** Takes the trajectory to its end. `order`: of the rows of each step; `estimate`: x_0 in a window. */
function run(
  trajectory: DenoisingTrajectory,
  order: (rows: number[]) => number[],
  estimate: (row: number) => number,
) {
  while (trajectory.step < trajectory.total) {
    const rows = order(Array.from({ length: trajectory.rows }, (_, row) => row));
    const predictions = rows.map((row) => predict(trajectory.input(row), estimate(row)));
    for (const [i, row] of rows.entries()) trajectory.advance(predictions[i], row);
  }
  return trajectory.fills[0];
}

const forwards = (rows: number[]) => rows;

test('all windows of all steps of all stages are evaluated, each stage by its network', () => {
  const trajectory = createTrajectory(spec());
  expect([trajectory.total, trajectory.rows, trajectory.network]).toEqual([4 * 2 + 4 * 3, 2, 'base']);
  for (let i = 0; i < 8; i++) trajectory.advance(new Float32Array(3 * R * R), i % 2);
  expect([trajectory.step, trajectory.rows, trajectory.network]).toEqual([8, 3, 'refiner']);
  expect(trajectory.input(0).x.length).toBe(8 * R * R);
  run(trajectory, forwards, () => 0);
  expect(trajectory.step).toBe(trajectory.total);
});

test('regions that take few steps are filled first; only regions that have been begun have a fill', () => {
  const [thick] = spec().stages;
  const few = { ...thick.sampler, steps: 2 };
  const thin = { ...thick, sampler: few, levels: [{ region: 1, input: level(0, 'base', 24, 12, [0, 8]) }] };
  const trajectory = createTrajectory(spec({ stages: [thin, thick] }));
  expect(trajectory.total).toBe(2 * 2 + 2 * 4);
  expect(trajectory.fills.map(({ level }) => level)).toEqual([0]);
  expect(trajectory.noisy?.canvas.level).toBe(0);
  run(trajectory, forwards, () => 0);
  expect(trajectory.fills.map(({ level }) => level)).toEqual([1, 0]);
});

test('the preview shows the largest region, in progress or finished', () => {
  const [thick] = spec().stages;
  const wide = { ...thick, levels: [{ region: 1, input: level(0, 'base', 40, 12, [0, 12, 24]) }] };
  for (const stages of [
    [wide, thick],
    [thick, wide],
  ]) {
    const trajectory = createTrajectory(spec({ stages }));
    const first = trajectory.preview.width;
    run(trajectory, forwards, () => 0.5);
    expect([first, trajectory.preview.width]).toEqual([stages[0] === wide ? 40 : 24, 40]);
    expect(trajectory.preview).toEqual(shrunk(trajectory.fills[1]));
  }
});

test('until a stage has done its first step, the finished stage before it is shown', () => {
  const trajectory = createTrajectory(spec());
  const shown = () => {
    const [{ level, x0 }] = trajectory.fills;
    const { mask } = (level === 1 ? spec().stages[0] : spec().stages[1]).levels[0].input;
    const hole = x0.filter((_, i) => mask[i % mask.length] === 1);
    return { level, hole: [Math.min(...hole), Math.max(...hole)].map((x) => Number(x.toFixed(3))) };
  };
  for (let i = 0; i < 4 * 2 + 2; i++) {
    const row = i < 8 ? i % 2 : i - 8;
    trajectory.advance(predict(trajectory.input(row), 0.5), row);
    if (i === 0) continue; // half of the first step: nothing has been estimated
    expect(shown()).toEqual({ level: 1, hole: [0.5, 0.5] });
    expect(trajectory.preview).toEqual(shrunk(trajectory.fills[0]));
    expect(trajectory.noisy?.canvas.level).toBe(1);
  }
  trajectory.advance(predict(trajectory.input(2), 0.5), 2); // the last window of the refiner's first step
  expect(shown()).toEqual({ level: 0, hole: [0.5, 0.5] });
  expect(trajectory.noisy?.canvas.level).toBe(0);
});

test('the hole becomes what the network estimates, and known pixels stay', () => {
  const { x0, width, height, level: reached } = run(createTrajectory(spec()), forwards, () => 0.25);
  expect([width, height, reached]).toEqual([40, R, 0]);
  const { input } = spec().stages[1].levels[0];
  for (let i = 0; i < x0.length; i++) {
    const inHole = input.mask[i % (40 * R)] === 1;
    if (inHole) expect(x0[i]).toBeCloseTo(0.25, 5);
    else expect(x0[i]).toBe(input.x0[i]);
  }
});

test('where windows overlap, estimates are averaged with weights that fall towards a window’s edge', () => {
  const { x0 } = run(createTrajectory(spec({ stages: [spec().stages[0]] })), forwards, (row) => row);
  const row = 8 * 24;
  // Windows cover columns 0..15 and 8..23. At column 8 + i the first weighs min(8 - i, ...), the second i + 1.
  expect(x0[row + 7]).toBeCloseTo(0, 5);
  expect(x0[row + 16]).toBeCloseTo(1, 5);
  for (let i = 0; i < 8; i++) expect(x0[row + 8 + i]).toBeCloseTo((i + 1) / 9, 5);
});

test('the order in which the windows of a step are evaluated does not change the bytes', () => {
  const estimate = (row: number) => 0.3 * row - 0.2;
  const forth = run(createTrajectory(spec()), forwards, estimate);
  const back = run(createTrajectory(spec()), (rows) => rows.toReversed(), estimate);
  expect(back.x0).toEqual(forth.x0);
});

describe('what a window shows the networks', () => {
  test('base: x_t in the hole, known pixels around it, and the mask', () => {
    const { x, t } = createTrajectory(spec()).input(1);
    expect([x.length, t]).toEqual([4 * R * R, 99]);
    const { input } = spec().stages[0].levels[0];
    const first = createTrajectory(spec()).input(0).x;
    for (let place = 0; place < R; place++) {
      const known = place < 4;
      if (known) expect(first[place]).toBe(input.x0[place]);
      expect(first[3 * R * R + place]).toBe(known ? -1 : 1);
    }
    expect(x[3 * R * R]).toBe(1); // column 8 is hole
  });

  test('refiner: also the enlarged coarse fill with a little noise, and how much', () => {
    const trajectory = createTrajectory(spec());
    for (let i = 0; i < 8; i++) trajectory.advance(predict(trajectory.input(i % 2), 0.5), i % 2);
    const { x } = trajectory.input(2); // columns 24..39, all hole
    const area = R * R;
    const coarse = x.subarray(3 * area, 6 * area);
    const mean = coarse.reduce((sum, value) => sum + value, 0) / coarse.length;
    const sd = Math.sqrt(coarse.reduce((sum, value) => sum + (value - mean) ** 2, 0) / coarse.length);
    expect(mean).toBeCloseTo(0.5, 1);
    expect(sd).toBeGreaterThan(0.08);
    expect(sd).toBeLessThan(0.12);
    expect(x[6 * area]).toBe(1);
    expect(x[7 * area]).toBeCloseTo((2 * 0.1) / 0.3 - 1, 6);
  });
});

/** The coarse fill of a base network that predicts v = 0, which is uneven, and what the refiner sees of it in its first step. */
function refined(changes: Partial<StageSpec>) {
  const { stages, ...rest } = spec();
  const zero = new Float32Array(3 * R * R);
  const filled = (given: StageSpec[]) => {
    const trajectory = createTrajectory({ ...rest, stages: given });
    for (let step = 0; step < 8; step++) trajectory.advance(zero, step % 2);
    return trajectory;
  };
  const [fill] = filled([stages[0]]).fills;
  return { fill, ...filled([stages[0], { ...stages[1], ...changes }]).input(2) }; // columns 24..39, all hole
}

test('a refiner that starts at a lower timestep starts from the enlarged fill with that noise', () => {
  const sampler = { name: 'ddim', steps: 3, eta: 0, spacing: 'log_snr' } as const;
  const [pure, late] = [refined({ sampler }), refined({ sampler: { ...sampler, firstTimestep: 40 } })];
  expect([pure.t, late.t]).toEqual([99, 40]);
  const [a, b] = [Math.sqrt(abar[40]), Math.sqrt(1 - abar[40])];
  for (let i = 0; i < 3 * R * R; i++) {
    expect(late.x[3 * R * R + i]).toBe(pure.x[3 * R * R + i]);
    expect(late.x[i]).toBeCloseTo(a * pure.x[3 * R * R + i] + b * pure.x[i], 5);
  }
});

test('the coarse fill is sharpened before it is enlarged', () => {
  const noise = { noise: 0, noiseMax: 0.3 };
  const [plain, sharp] = [refined({ refining: noise }), refined({ refining: { ...noise, sharpen: 1.3 } })];
  const { mask } = spec().stages[0].levels[0].input;
  const amount = sharpening(plain.fill, mask, 1.3);
  expect(amount).toBeGreaterThan(0.1);
  expect(amount).toBeLessThan(1.1);
  const canvas = sharpened(plain.fill, amount);
  for (const [found, from] of [[plain, plain.fill] as const, [sharp, canvas] as const])
    for (let i = 0; i < R * R; i++)
      expect(found.x[3 * R * R + i]).toBeCloseTo(enlargedAt(from, 24 + (i % R), Math.floor(i / R), 0), 6);
});

test('a fill is sharpened by the hole of its own region and level', () => {
  const { stages, ...rest } = spec();
  const [base, refiner] = stages;
  const refining = { noise: 0, noiseMax: 0.3, sharpen: 0.5 };
  const inputs = [
    base.levels[0].input,
    level(0, 'refiner', 40, 14, [0, 12, 24]),
    level(-1, 'refiner', 64, 16, [0, 16, 32, 48]),
  ];
  const [first, ...later] = inputs.map((input) => ({ region: 1, input }));
  const other = { region: 0, input: level(1, 'base', 24, 20, [0, 8]) };
  const start = (given: typeof later) =>
    createTrajectory({
      ...rest,
      stages: [
        { ...base, levels: [other, first] },
        ...given.map((each) => ({ ...refiner, refining, levels: [each] })),
      ],
    });
  const texture = (i: number) => 0.6 * Math.sin(i);
  const advance = (trajectory: DenoisingTrajectory, to: number) => {
    while (trajectory.step < to) {
      const inputs = Array.from({ length: trajectory.rows }, (_, row) => trajectory.input(row));
      for (const [row, input] of inputs.entries()) trajectory.advance(predictEach(input, texture), row);
    }
    return trajectory;
  };
  const whole = start(later);
  let done = 4 * 4;
  for (const [i, { windows }] of later.map(({ input }) => input).entries()) {
    const short = start(later.slice(0, i));
    const fill = advance(short, short.total).fills[1];
    const amount = sharpening(fill, inputs[i].mask, refining.sharpen);
    expect(amount).toBeGreaterThan(0.1);
    expect(amount).toBeLessThan(1.1);
    const coarse = sharpened(fill, amount);
    const row = windows.length - 1; // all hole
    const { x } = advance(whole, done).input(row);
    for (let p = 0; p < R * R; p++) {
      const column = windows[row].left + (p % R);
      expect(x[3 * R * R + p]).toBeCloseTo(enlargedAt(coarse, column, Math.floor(p / R), 0), 6);
    }
    done += 4 * windows.length;
  }
});

test('pixels of the hole that no window shows keep their value', () => {
  const { stages, ...rest } = spec();
  const input = level(0, 'base', 40, 8, [0, 12]); // columns 28..39 are in no window
  const { x0 } = run(
    createTrajectory({ ...rest, stages: [{ ...stages[0], levels: [{ region: 0, input }] }] }),
    forwards,
    () => 0.25,
  );
  for (let i = 0; i < x0.length; i++) {
    const column = i % 40;
    if (column < 8 || column >= 28) expect(x0[i]).toBe(input.x0[i]);
    else expect(x0[i]).toBeCloseTo(0.25, 5);
  }
});

test('in a thread it gives the same bytes as on the main thread', async () => {
  const here = createTrajectory(spec());
  const there = await ThreadedTrajectory.create(spec());
  while (here.step < here.total) {
    expect([there.step, there.rows, there.network]).toEqual([here.step, here.rows, here.network]);
    const predictions = Array.from({ length: here.rows }, (_, row) => predict(here.input(row), 0.1 * row));
    await Promise.all(
      predictions.map((prediction, row) => {
        expect(there.input(row)).toEqual(here.input(row));
        return there.advance(prediction, row);
      }),
    );
    for (const [row, prediction] of predictions.entries()) here.advance(prediction, row);
    expect(await there.view('fills')).toEqual(here.fills);
    expect(await there.view('preview')).toEqual(here.preview);
    expect(here.preview).toEqual(shrunk(here.fills[0]));
  }
  there.close();
});

test('progress shows x_t and the noise level of the last step, across stages', async () => {
  const here = createTrajectory(spec());
  const there = await ThreadedTrajectory.create(spec());
  const first = here.noisy;
  expect(here.noiseLevel).toEqual({ timestep: 99, abar: abar[99] });
  const seen: number[] = [];
  while (here.step < here.total) {
    const { x, t } = here.input(0);
    const predictions = Array.from({ length: here.rows }, (_, row) => predict(here.input(row), 0.1));
    for (const [row, prediction] of predictions.entries()) {
      here.advance(prediction, row);
      await there.advance(prediction, row);
    }
    seen.push(here.noiseLevel.timestep);
    expect(here.noiseLevel).toEqual({ timestep: t, abar: abar[t] });
    expect(there.noiseLevel).toEqual(here.noiseLevel);
    expect(await there.view('noisy')).toEqual(here.noisy);
    // The first window begins at the canvas's left edge.
    for (const column of [0, 5, 15]) expect(here.noisy?.x0[column]).toBe(x[column]);
  }
  expect(seen).toEqual([99, 74, 49, 24, 99, 74, 49, 24]);
  expect(first?.width).toBe(24);
  expect(here.noisy?.width).toBe(40);
  there.close();
});

test('a learned variance of -1 and 1 gives the steps of the small and the large fixed one', () => {
  const drawn = (variance: 'fixed_small' | 'fixed_large' | 'learned', output?: number) => {
    const { stages, ...rest } = spec();
    const sampler = { name: 'ddpm', steps: 4, eta: 0, variance } as const;
    const trajectory = createTrajectory({ ...rest, stages: [{ ...stages[0], sampler }] });
    while (trajectory.step < trajectory.total) {
      const rows = Array.from({ length: trajectory.rows }, (_, row) => predict(trajectory.input(row), 0.3));
      for (const [row, prediction] of rows.entries()) {
        const outputs = new Float32Array((output === undefined ? 3 : 6) * R * R).fill(output ?? 0);
        outputs.set(prediction);
        trajectory.advance(outputs, row);
      }
      if (trajectory.step === trajectory.total - trajectory.rows) return trajectory.input(0).x;
    }
    throw new Error('unreachable');
  };
  const [small, large] = [drawn('fixed_small'), drawn('fixed_large')];
  const worst = (a: Float32Array, b: Float32Array) =>
    Math.max(...a.map((value, i) => Math.abs(value - b[i])));
  expect(worst(drawn('learned', -1), small)).toBeLessThan(1e-5);
  expect(worst(drawn('learned', 1), large)).toBeLessThan(1e-5);
  expect(worst(small, large)).toBeGreaterThan(0.01);
});

test('enlargement is bicubic with a = -0.75, as in PyTorch', () => {
  // torch.nn.functional.interpolate(torch.tensor([[[[0., 1, 0, 0]]]]), scale_factor=(1, 2), mode="bicubic")
  const x0 = new Float32Array(3 * 4);
  x0[1] = 1;
  const canvas = { level: 1, left: 0, top: 0, width: 4, height: 1, x0 };
  const row = Array.from({ length: 8 }, (_, x) => enlargedAt(canvas, x, 0, 0));
  const expected = [-0.10546875, 0.26171875, 0.87890625, 0.87890625, 0.26171875, -0.10546875, -0.03515625, 0];
  for (const [i, value] of expected.entries()) expect(row[i]).toBeCloseTo(value, 6);
});

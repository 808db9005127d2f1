import { expect, test } from 'vitest';
import type { Batch } from '../../src/engine/engine.ts';
import { hasFastInt8 } from '../../src/engine/int8.ts';
import { byTimestep } from '../../src/engine/mixed-precision.ts';

const shape = { file: 'unet.onnx', inChannels: 2, outChannels: 1, resolution: 1 };

/** A network whose prediction is the sum of a row's input, times `factor`; records the timesteps that it was given. */
function network(factor: number) {
  const seen: number[][] = [];
  const evaluate = async ({ rows, x, t }: Batch) => {
    expect([x.length, t.length]).toEqual([2 * rows, rows]);
    seen.push([...t]);
    return Float32Array.from(t, (_, i) => factor * (x[2 * i] + x[2 * i + 1]));
  };
  return { seen, evaluate };
}

async function evaluate(t: number[]) {
  const [above, below] = [network(100), network(1)];
  const batch = {
    network: 'base' as const,
    rows: t.length,
    x: Float32Array.from({ length: 2 * t.length }, (_, i) => i),
    t: Float32Array.from(t),
  };
  const networks = { above: above.evaluate, below: below.evaluate };
  const prediction = await byTimestep(batch, 250, networks, shape);
  return { prediction: [...prediction], above: above.seen, below: below.seen };
}

test('rows go to the network of their timestep, and their predictions return in the order of the batch', async () => {
  expect(await evaluate([900, 3, 250, 249])).toEqual({
    prediction: [100, 5, 900, 13],
    above: [[900, 250]],
    below: [[3, 249]],
  });
});

test('a batch on one side is one evaluation', async () => {
  expect(await evaluate([999, 250])).toEqual({ prediction: [100, 500], above: [[999, 250]], below: [] });
  expect(await evaluate([0, 249])).toEqual({ prediction: [1, 5], above: [], below: [[0, 249]] });
});

test.each([
  ['Intel', 'flags\t\t: fpu avx512f avx512_vnni', true],
  ['AMD', 'flags\t\t: fpu avx2 avx_vnni', true],
  ['Arm', 'Features\t: fp asimd asimddp', true],
  ['none', 'flags\t\t: fpu avx2 avx512f', false],
])('instructions for int8: %s', (_, cpuinfo, expected) => {
  expect(hasFastInt8(() => cpuinfo)).toBe(expected);
});

test('without /proc/cpuinfo there are none', () => {
  expect(
    hasFastInt8(() => {
      throw new Error('ENOENT');
    }),
  ).toBe(false);
});

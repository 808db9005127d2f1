import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Batch, DeviceName, NetworkName } from '../../src/engine/engine.ts';
import { inputLength, type NetworkSpec, type Networks, outputLength } from '../../src/engine/network.ts';
import { measureBestBatch, warmUp } from '../../src/engine/warm-up.ts';

const SPEC: NetworkSpec = {
  engine: 'onnx',
  device: 'cpu',
  library: 'none',
  folder: '/nowhere',
  networks: { base: { file: 'unet.onnx', inChannels: 4, outChannels: 3, resolution: 2 } },
  threads: 2,
};
const REFINER = { file: 'refiner.onnx', inChannels: 8, outChannels: 3, resolution: 4 };
const TWO: NetworkSpec = { ...SPEC, networks: { ...SPEC.networks, refiner: REFINER } };

type Evaluation = [name: NetworkName, rows: number, exclusive: boolean];

/** The time that performance.now() gives, in milliseconds. */
let clock = 0;
beforeEach(() => {
  clock = 1000;
  vi.spyOn(performance, 'now').mockImplementation(() => clock);
});
afterEach(() => vi.restoreAllMocks());

/** Networks that predict zeros, after `ms` milliseconds by the clock. `evaluations` keeps what was evaluated. */
function fakeNetworks(
  spec: NetworkSpec,
  { software = false, ms = (_batch: Batch, _exclusive: boolean): number => 0 } = {},
) {
  const evaluations: Evaluation[] = [];
  const networks: Networks = {
    networks: spec.networks.refiner ? ['base', 'refiner'] : ['base'],
    deviceName: 'fake',
    software,
    precision: 'fp32',
    async evaluate(batch, exclusive) {
      const { network, rows, x } = batch;
      clock += ms(batch, exclusive);
      evaluations.push([network, rows, exclusive]);
      const shape = spec.networks[network] ?? REFINER;
      expect(x).toHaveLength(rows * inputLength(shape));
      return new Float32Array(rows * outputLength(shape));
    },
  };
  return { networks, evaluations };
}

describe('the warm-up', () => {
  test('on a CPU: batches of one row, both kinds of evaluation, and quick ones repeated to time them', async () => {
    const { networks, evaluations } = fakeNetworks(SPEC);
    const warm = await warmUp(networks, SPEC);
    expect(warm.bestBatch).toBe(1);
    expect(Object.keys(warm.rowSeconds)).toEqual(['base']);
    expect(evaluations).toEqual([
      ['base', 1, false],
      ['base', 1, true],
      ...Array(4).fill(['base', 1, false]),
    ]);
  });

  test('every network of the version is warmed up and timed', async () => {
    const { networks, evaluations } = fakeNetworks(TWO);
    const { rowSeconds } = await warmUp(networks, TWO);
    expect(Object.keys(rowSeconds)).toEqual(['base', 'refiner']);
    expect(evaluations).toEqual([
      ['base', 1, false],
      ['refiner', 1, false],
      ['base', 1, true],
      ...Array(4).fill(['base', 1, false]),
      ['refiner', 1, true],
      ...Array(4).fill(['refiner', 1, false]),
    ]);
  });

  test('a GPU driver that computes on the CPU: batches of one row without a measurement', async () => {
    const { networks, evaluations } = fakeNetworks(SPEC, { software: true });
    expect((await warmUp(networks, { ...SPEC, device: 'webgpu' })).bestBatch).toBe(1);
    expect(evaluations).toEqual([['base', 1, false]]);
  });

  test.each<DeviceName>([
    'cpu',
    'cuda',
  ])('maxBatch sets the size and nothing is measured: %s', async (device) => {
    const { networks, evaluations } = fakeNetworks(SPEC);
    expect((await warmUp(networks, { ...SPEC, device, maxBatch: 6 })).bestBatch).toBe(6);
    if (device === 'cpu') expect(new Set(evaluations.map(([, rows]) => rows))).toEqual(new Set([1]));
    else expect(evaluations.length).toBeLessThanOrEqual(5); // 1, 2, 3, 4 and 6 rows, each once
  });

  test('the batch size of a GPU is measured on the base network alone', async () => {
    const { networks, evaluations } = fakeNetworks(TWO);
    const { bestBatch } = await warmUp(networks, { ...TWO, device: 'cuda' });
    const refined = evaluations.filter(([name]) => name === 'refiner').map(([, rows]) => rows);
    expect(new Set(refined).size).toBe(refined.length); // each size once
    expect(Math.max(...refined)).toBe(bestBatch);
  });

  test.each<NetworkName>([
    'base',
    'refiner',
  ])('a GPU only sees batch sizes that it has run before; the padding is cut off again: %s', async (network) => {
    const { networks, evaluations } = fakeNetworks(TWO);
    const warm = await warmUp(networks, { ...TWO, device: 'cuda', maxBatch: 8 });
    const sizes = new Set(evaluations.filter(([name]) => name === network).map(([, rows]) => rows));
    const shape = TWO.networks[network] ?? REFINER;
    for (let rows = 1; rows <= 8; rows++) {
      evaluations.length = 0;
      const x = new Float32Array(rows * inputLength(shape));
      const batch: Batch = { network, rows, x, t: new Float32Array(rows) };
      expect(await warm.networks.evaluate(batch, false)).toHaveLength(rows * outputLength(shape));
      const [[name, evaluated]] = evaluations;
      expect(name).toBe(network);
      expect(sizes).toContain(evaluated);
    }
  });
});

describe('the seconds of a row', () => {
  test('on a CPU: the shortest evaluation that is not exclusive', async () => {
    const times = [900, 60, 40, 30, 50];
    const { networks } = fakeNetworks(SPEC, {
      ms: (_, exclusive) => (exclusive ? 10 : (times.shift() ?? 0)),
    });
    expect((await warmUp(networks, SPEC)).rowSeconds).toEqual({ base: 0.03 });
    expect(times).toEqual([]);
  });

  test.each([
    [199, 5],
    [200, 2],
  ])('on a CPU: evaluations of %i ms are %i, with the first', async (ms, expected) => {
    const { networks, evaluations } = fakeNetworks(SPEC, { ms: () => ms });
    await warmUp(networks, SPEC);
    expect(evaluations.filter(([, , exclusive]) => !exclusive)).toHaveLength(expected);
  });

  test('on a GPU: the time of an evaluation divided by its rows', async () => {
    const { networks } = fakeNetworks(TWO, {
      ms: ({ network, rows }) => (network === 'base' ? 16 : 32) + 4 * rows,
    });
    const { rowSeconds } = await warmUp(networks, { ...TWO, device: 'cuda', maxBatch: 4 });
    expect(rowSeconds).toEqual({ base: 0.008, refiner: 0.012 });
  });

  test('with an int8 variant: the mean of both number formats', async () => {
    const { base } = SPEC.networks;
    const spec = { ...SPEC, networks: { base: { ...base, int8: { file: 'int8.onnx', fromTimestep: 300 } } } };
    const { networks } = fakeNetworks(spec, {
      ms: ({ t }) => t.reduce((sum, each) => sum + (each < 300 ? 40 : 20), 0),
    });
    expect((await warmUp(networks, spec)).rowSeconds).toEqual({ base: 0.03 });
  });
});

test.each([
  [1, /^a batch of 1 failed \(no memory\)$/],
  [6, /^a batch of 6 failed \(no memory\): set MAX_BATCH to 3 or less$/],
  [7, /^a batch of 7 failed \(no memory\): set MAX_BATCH to 3 or less$/],
])('a failure at %i rows says so, and which size to set', async (most, message) => {
  const { networks } = fakeNetworks(SPEC, {
    ms: ({ rows }) => {
      if (rows === most) throw new Error('no memory');
      return 0;
    },
  });
  const spec: NetworkSpec = { ...SPEC, device: 'cuda', maxBatch: most };
  await expect(warmUp(networks, spec)).rejects.toThrow(message);
});

describe("a GPU's best batch size", () => {
  /** A GPU on which `rows` rows take `overheadMs` and `rowMs` for each; every evaluation with `isBusy` takes 20 times that. */
  const measure = (
    overheadMs: number,
    rowMs: number,
    isBusy: (evaluation: number) => boolean = () => false,
  ) => {
    let evaluation = 0;
    return measureBestBatch(async (rows) => (overheadMs + rows * rowMs) * (isBusy(evaluation++) ? 20 : 1));
  };

  test('grows while a row gets clearly cheaper', async () => {
    expect(await measure(0, 10)).toBe(1);
    expect(await measure(30, 10)).toBe(8);
    expect(await measure(1000, 0.1)).toBe(1); // longer than one evaluation may take
    expect(await measure(100, 0.1)).toBe(64); // the largest that is tried
  });

  test.each([
    ['the cost of a row falls to 0.85', 3, 7, 2],
    ['it falls less', 3, 7.1, 1],
    ['the larger batch takes 500 ms', 300, 100, 2],
    ['it takes longer', 301, 100, 1],
  ])('doubles or not where %s', async (_, overheadMs, rowMs, expected) => {
    expect(await measure(overheadMs, rowMs)).toBe(expected);
  });

  test('is the same when other work slows some of the evaluations down', async () => {
    const quiet = await measure(30, 10);
    expect(await measure(30, 10, (evaluation) => evaluation % 11 < 9)).toBe(quiet);
    expect(await measure(30, 10, (evaluation) => evaluation % 11 > 2)).toBe(quiet);
  });
});

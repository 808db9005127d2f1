import { describe, expect, test } from 'vitest';
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

/** Networks that predict zeros at once. `evaluations` keeps what was evaluated. */
function fakeNetworks(spec: NetworkSpec, { software = false } = {}) {
  const evaluations: Evaluation[] = [];
  const networks: Networks = {
    networks: spec.networks.refiner ? ['base', 'refiner'] : ['base'],
    deviceName: 'fake',
    software,
    precision: 'fp32',
    async evaluate({ network, rows, x }, exclusive) {
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

  test('is the same when other work slows some of the evaluations down', async () => {
    const quiet = await measure(30, 10);
    expect(await measure(30, 10, (evaluation) => evaluation % 11 < 9)).toBe(quiet);
    expect(await measure(30, 10, (evaluation) => evaluation % 11 > 2)).toBe(quiet);
  });
});

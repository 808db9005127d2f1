import { describe, expect, test } from 'vitest';
import type { DeviceName } from '../../src/engine/engine.ts';
import type { Network, NetworkSpec } from '../../src/engine/network.ts';
import { measureBestBatch, warmUp } from '../../src/engine/warm-up.ts';

const SPEC: NetworkSpec = {
  engine: 'onnx',
  device: 'cpu',
  library: 'none',
  folder: '/nowhere',
  architecture: { patch: 1, head_dim: 8, groups: 1 },
  inChannels: 4,
  outChannels: 3,
  resolution: 2,
  threads: 2,
};

/** Predicts zeros at once, and keeps the rows of each evaluation and whether it was exclusive. */
function fakeNetwork({ software = false } = {}) {
  const evaluations: [rows: number, exclusive: boolean][] = [];
  const network: Network = {
    deviceName: 'fake',
    software,
    precision: 'fp32',
    async evaluate({ rows }, exclusive) {
      evaluations.push([rows, exclusive]);
      return new Float32Array(rows * 3 * 2 * 2);
    },
  };
  return { network, evaluations };
}

describe('the warm-up', () => {
  const row = (rows: number) => ({ rows, x: new Float32Array(rows * 16), t: new Float32Array(rows) });

  test('on a CPU: batches of one row without a measurement, both kinds of evaluation run once', async () => {
    const { network, evaluations } = fakeNetwork();
    expect((await warmUp(network, SPEC)).bestBatch).toBe(1);
    expect(evaluations).toEqual([
      [1, false],
      [1, true],
    ]);
  });

  test('a GPU driver that computes on the CPU: batches of one row without a measurement', async () => {
    const { network, evaluations } = fakeNetwork({ software: true });
    expect((await warmUp(network, { ...SPEC, device: 'webgpu' })).bestBatch).toBe(1);
    expect(evaluations).toEqual([[1, false]]);
  });

  test.each<DeviceName>([
    'cpu',
    'cuda',
  ])('maxBatch sets the size and nothing is measured: %s', async (device) => {
    const { network, evaluations } = fakeNetwork();
    expect((await warmUp(network, { ...SPEC, device, maxBatch: 6 })).bestBatch).toBe(6);
    expect(evaluations.length).toBeLessThanOrEqual(5); // on a GPU 1, 2, 3, 4 and 6 rows, each once
  });

  test('a GPU only sees batch sizes that it has run before; the padding is cut off again', async () => {
    const { network, evaluations } = fakeNetwork();
    const warm = await warmUp(network, { ...SPEC, device: 'cuda', maxBatch: 8 });
    const sizes = new Set(evaluations.map(([rows]) => rows));
    for (let rows = 1; rows <= 8; rows++) {
      evaluations.length = 0;
      expect(await warm.network.evaluate(row(rows), false)).toHaveLength(rows * 12);
      expect(sizes).toContain(evaluations[0][0]);
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

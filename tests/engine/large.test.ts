import path from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { expect, test, vi } from 'vitest';
import { loadOnnx } from '../../src/engine/onnx.ts';
import { readModelCard } from '../../src/model/folder.ts';
import { networksOf } from '../../src/model/networks.ts';
import { IMPORTED_DIR } from '../helpers/model.ts';

const folder = path.join(IMPORTED_DIR, 'tiny-diffusers/1');
const { base } = networksOf(await readModelCard(folder));
const x = new Float32Array(3 * 16 * 16).fill(0.3);
const batch = { network: 'base', rows: 1, x, t: Float32Array.of(500) } as const;

test.each([
  [
    64e6,
    [
      { intraOpNumThreads: 1, enableCpuMemArena: true },
      { intraOpNumThreads: 2, enableCpuMemArena: true },
    ],
  ],
  [64e6 + 1, [{ intraOpNumThreads: 2, enableCpuMemArena: false }]],
])('the sessions of a network with %d bytes of weights', async (bytes, expected) => {
  const create = vi.spyOn(InferenceSession, 'create');
  const networks = await loadOnnx({
    folder,
    engine: 'onnx',
    device: 'cpu',
    library: 'onnxruntime-node',
    threads: 2,
    networks: { base: { ...base, bytes } },
  });
  expect(create.mock.calls.map(([, options]) => options)).toMatchObject(expected);
  create.mockRestore();
  const together = await networks.evaluate(batch, true);
  expect(await networks.evaluate(batch, false)).toEqual(together);
});

test('the size of a network includes weights that are stored beside it', async () => {
  const card = await readModelCard(path.join(IMPORTED_DIR, 'tiny-guided/1'));
  const { 'unet.onnx': file, 'unet.onnx.data': data } = card.files;
  expect(networksOf(card).base.bytes).toBe(file.bytes + data.bytes);
});

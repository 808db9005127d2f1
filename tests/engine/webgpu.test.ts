import { expect, test } from 'vitest';
import type { NetworkSpec } from '../../src/engine/network.ts';
import { loadOnnx } from '../../src/engine/onnx.ts';
import { WorkerPool } from '../../src/engine/pool.ts';
import { realModelSpec } from '../helpers/model.ts';
import { available } from '../helpers/optional.ts';
import { engineSuite } from './suite.ts';

const spec = await realModelSpec();
const webgpu: NetworkSpec = { ...spec, device: 'webgpu', maxBatch: 2 };

/** The largest difference that was measured is 1.2e-4. */
const TOLERANCE = 1e-3;

/** A driver that is named has to work, as .ci/webgpu names one; else the suite runs where there is one. */
const named = process.env.VK_ICD_FILENAMES !== undefined || process.env.VK_DRIVER_FILES !== undefined;
const why = named ? undefined : await WorkerPool.start({ spec: webgpu, workers: 1 }).then(close, String);

async function close(pool: WorkerPool): Promise<undefined> {
  await pool.close();
}

if (!available(why === undefined, `onnxruntime-node does not start on WebGPU (${why})`, false)) {
  test('without a driver it says what is needed', () => {
    expect(why).toContain('WebGPU finds no GPU: on Linux it needs libvulkan.so.1');
  });
} else {
  const loading = loadOnnx(webgpu);
  // A software driver takes seconds for a row, so there are few, and a minute to load the model.
  const load = (asked: NetworkSpec) => (asked === webgpu ? loading : loadOnnx(asked));
  engineSuite(webgpu, load, { toPyTorch: TOLERANCE, toBatch: TOLERANCE, rows: [1, 2], restarts: false });
}

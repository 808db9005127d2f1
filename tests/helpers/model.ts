import path from 'node:path';
import type { NetworkSpec } from '../../src/engine/network.ts';
import { networksOf } from '../../src/model/networks.ts';
import { FolderRegistry } from '../../src/registry/registry.ts';
import type { QueueLimits } from '../../src/scheduler/admission.ts';

/** The committed models, which tests run. */
export const MODEL_DIR = path.resolve(import.meta.dirname, '../../models');

export function openRealRegistry(queue: QueueLimits = { limit: 64 }, modelDir = MODEL_DIR) {
  return FolderRegistry.open({ modelDir, engine: { engine: 'onnx', device: 'cpu' }, queue });
}

/** Tiny models with random weights, as training/import_model.py imports them: training/vectors_imported.py. */
export const IMPORTED_DIR = path.resolve(import.meta.dirname, '../vectors/imported');

/** The specification with which a worker loads the default model. */
export async function realModelSpec(): Promise<NetworkSpec> {
  const { card, folder } = (await openRealRegistry()).get();
  return {
    folder,
    engine: 'onnx',
    device: 'cpu',
    library: 'onnxruntime-node',
    networks: networksOf(card),
    threads: 2,
  };
}

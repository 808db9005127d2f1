import path from 'node:path';
import type { NetworkSpec } from '../../src/engine/network.ts';
import { networksOf } from '../../src/model/networks.ts';
import type { EngineSettings } from '../../src/registry/model-version.ts';
import { FolderRegistry } from '../../src/registry/registry.ts';

/** The committed models, which tests run. */
export const MODEL_DIR = path.resolve(import.meta.dirname, '../../models');

export function openRealRegistry(
  queueLimit = 64,
  queueShares?: EngineSettings['queueShares'],
  modelDir = MODEL_DIR,
) {
  return FolderRegistry.open({
    modelDir,
    engine: { engine: 'onnx', device: 'cpu', queueLimit, queueShares },
  });
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

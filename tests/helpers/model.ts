import path from 'node:path';
import type { NetworkSpec } from '../../src/engine/network.ts';
import { FolderRegistry } from '../../src/registry/registry.ts';

/** The committed models. */
export const MODEL_DIR = path.resolve(import.meta.dirname, '../../models');

export function openRealRegistry(queueLimit = 64) {
  return FolderRegistry.open({
    modelDir: MODEL_DIR,
    engine: { engine: 'onnx', device: 'cpu', queueLimit },
  });
}

/** The specification with which a worker loads the default model. */
export async function realModelSpec(): Promise<NetworkSpec> {
  const { card, folder } = (await openRealRegistry()).get();
  return {
    folder,
    engine: 'onnx',
    device: 'cpu',
    library: 'onnxruntime-node',
    architecture: card.architecture,
    inChannels: card.in_channels,
    outChannels: card.out_channels,
    resolution: card.resolution,
    threads: 2,
  };
}

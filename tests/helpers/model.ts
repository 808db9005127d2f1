import path from 'node:path';
import type { NetworkSpec } from '../../src/engine/network.ts';
import { FolderRegistry } from '../../src/registry/registry.ts';

/** The committed models: tests run the real ones. */
export const MODEL_DIR = path.resolve(import.meta.dirname, '../../models');

export function openRealRegistry(queueLimit = 64) {
  return FolderRegistry.open({
    modelDir: MODEL_DIR,
    engine: { engine: 'onnx', device: 'cpu', queueLimit },
  });
}

/** What a worker needs to load the default model. */
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

import type { NetworkName } from '../engine/engine.ts';
import type { NetworkSpec } from '../engine/network.ts';
import type { ModelCard } from './card.ts';

/** The file of each network in a version's folder. */
export const NETWORK_FILES: Record<NetworkName, string> = { base: 'unet.onnx', refiner: 'refiner.onnx' };

/** What a worker needs to know of the networks of a version. */
export function networksOf(card: ModelCard): NetworkSpec['networks'] {
  return {
    base: {
      file: NETWORK_FILES.base,
      inChannels: card.in_channels,
      outChannels: card.out_channels,
      resolution: card.resolution,
      architecture: card.architecture,
    },
  };
}

import { createHash } from 'node:crypto';
import { NETWORK_NAMES, type NetworkName } from '../engine/engine.ts';
import type { NetworkSpec } from '../engine/network.ts';
import type { ModelCard } from './card.ts';

/** The file of each network in a version's folder. */
export const NETWORK_FILES: Record<NetworkName, string> = { base: 'unet.onnx', refiner: 'refiner.onnx' };

/** The networks that a version has, the base first. */
export function namesOf(card: ModelCard): NetworkName[] {
  return NETWORK_NAMES.filter((name) => name === 'base' || card.refiner);
}

/** What a worker needs to know of the networks of a version. */
export function networksOf(card: ModelCard): NetworkSpec['networks'] {
  const { refiner } = card;
  return {
    base: {
      file: NETWORK_FILES.base,
      inChannels: card.in_channels,
      outChannels: card.out_channels,
      resolution: card.resolution,
      architecture: card.architecture,
    },
    refiner: refiner && {
      file: NETWORK_FILES.refiner,
      inChannels: refiner.in_channels,
      outChannels: refiner.out_channels,
      resolution: refiner.resolution,
    },
  };
}

/**
 * What identifies the networks of a version, in hexadecimal: the SHA-256 of unet.onnx or, where there is a refiner, the
 * SHA-256 of the digests of unet.onnx and refiner.onnx (in hexadecimal, one after the other).
 */
export function networksDigest(card: ModelCard): string {
  const [base, ...others] = namesOf(card).map((name) => card.files[NETWORK_FILES[name]].sha256);
  if (others.length === 0) return base;
  return createHash('sha256')
    .update([base, ...others].join(''))
    .digest('hex');
}

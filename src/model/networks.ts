import { createHash } from 'node:crypto';
import { NETWORK_NAMES, type NetworkName } from '../engine/engine.ts';
import type { NetworkSpec } from '../engine/network.ts';
import type { ModelCard } from './card.ts';

/** The file of each network in a version's folder. */
export const NETWORK_FILES: Record<NetworkName, string> = { base: 'unet.onnx', refiner: 'refiner.onnx' };

/** The int8 variant of the base network, which training/quantise.py writes. */
const INT8_FILE = 'unet.int8.onnx';

/** The networks that a version has, the base first. */
export function namesOf(card: ModelCard): NetworkName[] {
  return NETWORK_NAMES.filter((name) => name === 'base' || card.refiner);
}

/** The network files that a version must have. */
export function requiredFiles(card: ModelCard): string[] {
  return [...namesOf(card).map((name) => NETWORK_FILES[name]), ...(card.int8 ? [INT8_FILE] : [])];
}

/** Added to the name of a network's file for that of its weights, where they are stored apart (ONNX's external data). */
const EXTERNAL_DATA = '.data';

/** The files of a network: the ONNX file and, where its weights are stored apart, those. */
function filesOf({ files }: ModelCard, name: NetworkName): string[] {
  const file = NETWORK_FILES[name];
  return [file, file + EXTERNAL_DATA].filter((each) => files[each]);
}

/** What a worker needs to know of the networks of a version. int8: whether it uses their int8 variant, where there is one. */
export function networksOf(card: ModelCard, { int8 = false } = {}): NetworkSpec['networks'] {
  const { refiner } = card;
  const bytes = (name: NetworkName) =>
    filesOf(card, name).reduce((sum, file) => sum + card.files[file].bytes, 0);
  return {
    base: {
      file: NETWORK_FILES.base,
      bytes: bytes('base'),
      inChannels: card.in_channels,
      outChannels: card.out_channels,
      resolution: card.resolution,
      architecture: card.architecture,
      int8: int8 && card.int8 ? { file: INT8_FILE, fromTimestep: card.int8.from_timestep } : undefined,
    },
    refiner: refiner && {
      file: NETWORK_FILES.refiner,
      bytes: bytes('refiner'),
      inChannels: refiner.in_channels,
      outChannels: refiner.out_channels,
      resolution: refiner.resolution,
    },
  };
}

/**
 * What identifies the networks of a version, in hexadecimal: the SHA-256 of unet.onnx or, where there are more files, the
 * SHA-256 of the digests of unet.onnx, unet.onnx.data, refiner.onnx and refiner.onnx.data (in hexadecimal, one after the
 * other, without those that there are not). unet.int8.onnx is made from unet.onnx and does not count.
 */
export function networksDigest(card: ModelCard): string {
  const files = namesOf(card).flatMap((name) => filesOf(card, name));
  const [base, ...others] = files.map((file) => card.files[file].sha256);
  if (others.length === 0) return base;
  return createHash('sha256')
    .update([base, ...others].join(''))
    .digest('hex');
}

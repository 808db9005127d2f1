import { createHash } from 'node:crypto';
import { copyFile, mkdtemp, readFile, symlink } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { NetworkSpec } from '../../src/engine/network.ts';
import vectors from '../vectors/refiner.json' with { type: 'json' };
import { rowsBatch } from './golden.ts';
import { realModelSpec } from './model.ts';

const { in_channels, out_channels, resolution } = vectors;
const FILE = path.resolve('tests/vectors/refiner.onnx');

/** The shape of the tiny refiner in tests/vectors (training/vectors_refiner.py). */
export const REFINER = {
  file: 'refiner.onnx',
  inChannels: in_channels,
  outChannels: out_channels,
  resolution,
};

/** Rows of the tiny refiner, and what PyTorch predicts for them. */
export function refinerBatch(indices: number[]) {
  return rowsBatch('refiner', vectors, indices, in_channels * resolution ** 2);
}

/** Adds the tiny refiner to the folder of a version, and to the fields of its model card. */
export async function addRefiner(folder: string, card: Record<string, unknown>): Promise<void> {
  await copyFile(FILE, path.join(folder, REFINER.file));
  const bytes = await readFile(FILE);
  const file = { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length };
  Object.assign(card.files as object, { [REFINER.file]: file });
  card.refiner = refinerSection();
}

/** The section of the model card about the tiny refiner. */
export function refinerSection() {
  return {
    in_channels,
    out_channels,
    resolution,
    prediction: 'v',
    schedule: { type: 'cosine', T: 1000 },
    level: 0.05,
    level_max: 0.3,
    defaults: { sampler: 'dpmpp_2m', steps: 6, eta: 0 },
    sampling: { spacing: 'linspace', final_timestep: 8 },
    data: [{ name: 'none', licence: 'none', pictures: 0 }],
    training: {},
    metrics: {},
    precision: { weights: 'fp16', max_difference: 0 },
  };
}

/** The specification with which a worker loads the default model's base network and the tiny refiner. */
export async function refinedModelSpec(): Promise<NetworkSpec> {
  const spec = await realModelSpec();
  const folder = await mkdtemp(path.join(os.tmpdir(), 'refined-'));
  for (const file of ['unet.onnx', 'weights.safetensors'])
    await symlink(path.join(spec.folder, file), path.join(folder, file));
  await symlink(FILE, path.join(folder, REFINER.file));
  return { ...spec, folder, networks: { ...spec.networks, refiner: REFINER } };
}

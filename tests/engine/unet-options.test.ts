import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs'; // with its backend in plain JavaScript
import { expect, test } from 'vitest';
import { gaussian } from '../../src/diffusion/noise.ts';
import type { Architecture } from '../../src/engine/network.ts';
import { Parameters } from '../../src/engine/tfjs/parameters.ts';
import { readSafetensors } from '../../src/engine/tfjs/safetensors.ts';
import { unet } from '../../src/engine/tfjs/unet.ts';

interface Vectors {
  in_channels: number;
  resolution: number;
  architecture: Architecture;
  seed: number;
  rows: { t: number; prediction: string }[];
}

const FOLDER = fileURLToPath(new URL('../vectors/', import.meta.url));

/** training/vectors_unet.py: BigGAN blocks, two heads at two sizes, an embedding that is added, outputs for variances. */
test('a U-Net with every option computes what PyTorch computes', async () => {
  await tf.setBackend('cpu');
  const text = await readFile(path.join(FOLDER, 'unet-options.json'), 'utf8');
  const { in_channels: channels, resolution, architecture, seed, rows } = JSON.parse(text) as Vectors;
  const parameters = await readSafetensors(path.join(FOLDER, 'unet-options.safetensors'));
  const network = unet(Parameters.load(parameters), architecture);
  const x = rows.map((_, candidate) => gaussian({ seed, candidate, step: 0 }, channels * resolution ** 2));
  const shape: [number, number, number, number] = [rows.length, channels, resolution, resolution];
  const input = tf.tensor4d(Float32Array.from(x.flatMap((row) => [...row])), shape);
  const found = await network(input, tf.tensor1d(rows.map(({ t }) => t))).data();
  const expected = rows.flatMap(({ prediction }) => {
    const bytes = Buffer.from(prediction, 'base64');
    return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
  });
  expect(found.length).toBe(expected.length);
  const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i])), 0);
  expect(worst).toBeLessThan(1e-4);
  expect(Math.max(...expected)).toBeGreaterThan(0.5); // it does compute
});

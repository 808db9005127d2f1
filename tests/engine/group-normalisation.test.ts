import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { loadBackend } from '../../src/engine/tfjs/backend.ts';
import { groupNormalisation } from '../../src/engine/tfjs/layers.ts';
import { Parameters } from '../../src/engine/tfjs/parameters.ts';

const [SIDE, CHANNELS, GROUPS] = [32, 8, 4];
const SIZE = CHANNELS / GROUPS;

/** The definition, in float64, with weights of 1 and biases of 0: [H W, C]. */
function expectedOf(x: Float32Array): number[] {
  const groupOf = (i: number) => Math.floor((i % CHANNELS) / SIZE);
  const members = Array.from({ length: GROUPS }, (_, g) => [...x].filter((_, i) => groupOf(i) === g));
  const means = members.map((values) => values.reduce((a, b) => a + b) / values.length);
  const variances = members.map(
    (values, g) => values.reduce((sum, v) => sum + (v - means[g]) ** 2, 0) / values.length,
  );
  return [...x].map((v, i) => (v - means[groupOf(i)]) / Math.sqrt(variances[groupOf(i)] + 1e-5));
}

for (const library of ['@tensorflow/tfjs-backend-wasm', '@tensorflow/tfjs-backend-cpu'])
  test.each([
    [3.3, 0],
    [33.3, 0],
    [33.3, 0.02],
    [-100.7, 0.02],
    [0.1, 1],
  ])(`${library}: features of %d with differences of %d are normalised`, async (mean, spread) => {
    await loadBackend(library);
    const ones = { shape: [CHANNELS], data: new Float32Array(CHANNELS).fill(1) };
    const zeros = { shape: [CHANNELS], data: new Float32Array(CHANNELS) };
    const parameters = new Map([
      ['weight', ones],
      ['bias', zeros],
    ]);
    const normalise = groupNormalisation(Parameters.load(parameters), GROUPS);
    const length = SIDE * SIDE * CHANNELS;
    const x = Float32Array.from({ length }, (_, i) => mean + spread * Math.sin(1 + 7 * i));
    const found = await normalise(tf.tensor4d(x, [1, SIDE, SIDE, CHANNELS])).data();
    const worst = expectedOf(x).reduce((most, value, i) => Math.max(most, Math.abs(value - found[i])), 0);
    expect(worst).toBeLessThan(1e-4);
  });

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { gaussian } from '../../src/diffusion/noise.ts';
import { createSampler, type SamplerName } from '../../src/diffusion/samplers/index.ts';
import type { SamplerState } from '../../src/diffusion/samplers/sampler.ts';
import { scheduleFrom } from '../../src/diffusion/schedule.ts';
import type { Spacing } from '../../src/diffusion/timesteps.ts';
import { loadOnnx } from '../../src/engine/onnx.ts';
import { sampledAs } from '../../src/generation/trajectories/create.ts';
import { readModelCard, verifyDigests } from '../../src/model/folder.ts';
import { networksOf } from '../../src/model/networks.ts';
import { IMPORTED_DIR } from '../helpers/model.ts';

interface Vectors {
  seed: number;
  steps: number;
  models: Record<
    string,
    {
      rows: { t: number; prediction: string }[];
      trajectories: { sampler: SamplerName; spacing: Spacing; eta: number; x: string }[];
    }
  >;
}

const vectors: Vectors = JSON.parse(readFileSync(path.join(IMPORTED_DIR, 'imported.json'), 'utf8'));
const { seed, steps } = vectors;
const LENGTH = 3 * 16 * 16;

function decoded(base64: string): Float32Array {
  const { buffer, byteOffset, length } = Buffer.from(base64, 'base64');
  return new Float32Array(buffer.slice(byteOffset, byteOffset + length));
}

function difference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i])), 0);
}

describe.each(Object.entries(vectors.models))('%s, imported', async (name, { rows, trajectories }) => {
  const folder = path.join(IMPORTED_DIR, name, '1');
  const card = await readModelCard(folder);
  await verifyDigests(folder, card);
  const network = await loadOnnx({
    folder,
    engine: 'onnx',
    device: 'cpu',
    library: 'onnxruntime-node',
    threads: 1,
    networks: networksOf(card),
  });

  test('predicts what its source predicts, to 1e-4', async () => {
    const x = new Float32Array(rows.length * LENGTH);
    rows.forEach(
      (_, candidate) => void x.set(gaussian({ seed, candidate, step: 0 }, LENGTH), candidate * LENGTH),
    );
    const t = Float32Array.from(rows, (row) => row.t);
    const found = await network.evaluate({ network: 'base', rows: rows.length, x, t }, false);
    const size = found.length / rows.length;
    for (const [i, { prediction }] of rows.entries()) {
      const row = found.slice(i * size, (i + 1) * size);
      expect(difference(row, decoded(prediction))).toBeLessThan(1e-4);
    }
  });

  test.each(
    trajectories,
  )(`${steps} steps of $sampler ($spacing, eta $eta) end where those of diffusers end, to 1e-3`, async (expected) => {
    const asSampled = { ...card, sampling: { ...card.sampling, spacing: expected.spacing } };
    const { schedule, prediction, sampler } = sampledAs(asSampled, { ...expected, steps });
    const { timesteps, next } = createSampler(expected.sampler, {
      schedule: scheduleFrom(schedule),
      prediction,
      ...sampler,
    });
    const draw = (step: number) => gaussian({ seed, candidate: 0, step }, LENGTH);
    let state: SamplerState = { step: 0, x: draw(0) };
    for (const [i, t] of timesteps.entries()) {
      const batch = { network: 'base', rows: 1, x: state.x, t: Float32Array.of(t) } as const;
      state = next(state, await network.evaluate(batch, false), () => draw(i + 1));
    }
    expect(difference(state.x, decoded(expected.x))).toBeLessThan(1e-3);
  });
});

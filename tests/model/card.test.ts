import { readFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PREDICTIONS } from '../../src/diffusion/prediction.ts';
import { SAMPLER_NAMES } from '../../src/diffusion/samplers/index.ts';
import { scheduleFrom } from '../../src/diffusion/schedule.ts';
import { SPACINGS } from '../../src/diffusion/timesteps.ts';
import { modelCard } from '../../src/model/card.ts';
import { networksDigest } from '../../src/model/networks.ts';
import { MODEL_DIR } from '../helpers/model.ts';
import { refinerSection } from '../helpers/refiner.ts';

const file = path.join(MODEL_DIR, 'celeba-inpaint-64/2/model.json');
const card = JSON.parse(await readFile(file, 'utf8'));

const cosine = { type: 'cosine', T: 1000 };
const linear = { type: 'linear', T: 1000 };
const { architecture, data, defaults, precision } = card;
const onnx = card.files['unet.onnx'];
const refiner = refinerSection();

/** Paths of the fields that are rejected in a card with these changes. */
function rejected(changes: object): string[] {
  const { error } = modelCard.safeParse({ ...card, ...changes });
  return error?.issues.map((issue) => issue.path.join('.')) ?? [];
}

test('the committed card is accepted, with the defaults of its schedule', () => {
  expect(modelCard.parse(card).schedule).toEqual({ type: 'cosine', T: 1000, s: 0.008, abar_min: 1e-5 });
});

test('a card with a refiner is accepted, with the usual sampling where it gives none', () => {
  expect(modelCard.parse({ ...card, refiner }).refiner).toMatchObject({ level: 0.05, level_max: 0.3 });
  const { sampling: _, ...without } = refiner;
  const parsed = modelCard.parse({ ...card, refiner: without });
  expect(parsed.refiner?.sampling).toEqual({
    spacing: 'trailing',
    final_timestep: 0,
    variance: 'fixed_small',
    clip: true,
  });
});

test('the digest of a version covers every network', () => {
  const base = modelCard.parse(card);
  expect(networksDigest(base)).toBe(onnx.sha256);
  const withRefiner = (sha256: string) =>
    networksDigest(
      modelCard.parse({ ...card, refiner, files: { ...card.files, 'refiner.onnx': { sha256, bytes: 1 } } }),
    );
  const [a, b] = [withRefiner('a'.repeat(64)), withRefiner('b'.repeat(64))];
  expect(new Set([a, b, onnx.sha256]).size).toBe(3);
  for (const digest of [a, b]) expect(digest).toMatch(/^[0-9a-f]{64}$/);
});

const USUAL = {
  spacing: 'trailing',
  final_timestep: 0,
  variance: 'fixed_small',
  clip: true,
  resampling: { jump: 5, times: 3 },
};

test('a card without sampling is sampled at trailing timesteps, and its fields have defaults', () => {
  expect(card.sampling).toBeUndefined();
  expect(modelCard.parse(card).sampling).toEqual(USUAL);
  const { sampling } = modelCard.parse({ ...card, sampling: { spacing: 'log_snr' } });
  expect(sampling).toEqual({ ...USUAL, spacing: 'log_snr' });
});

test('a card written by hand needs no more than what the network and its files are', () => {
  const { id, version, description, licence, in_channels, out_channels, files, prediction } = card;
  const { name, terms } = data;
  const written = {
    ...{ id, version, description, licence, in_channels, out_channels, files, prediction },
    ...{ conditioning: 'inpaint', resolution: 64, schedule: linear, defaults, data: { name, terms } },
  };
  expect(modelCard.parse(written)).toMatchObject({
    sampling: USUAL,
    precision: { weights: 'fp32', max_difference: 0 },
    training: {},
  });
  for (const field of Object.keys(written))
    expect(modelCard.safeParse({ ...written, [field]: undefined }).success).toBe(false);
});

test('the example of docs/models.md is a valid card', async () => {
  const [, example] = (await readFile('docs/models.md', 'utf8')).match(/```json\n(.*?)```/s) ?? [];
  const written = JSON.parse(example.replace('<64 hexadecimal digits>', 'a'.repeat(64)));
  expect(modelCard.parse(written)).toMatchObject(written);
});

test('the digest covers weights that are stored beside a network', () => {
  const withData = (sha256: string) =>
    networksDigest(
      modelCard.parse({ ...card, files: { ...card.files, 'unet.onnx.data': { sha256, bytes: 1 } } }),
    );
  const [a, b] = [withData('a'.repeat(64)), withData('b'.repeat(64))];
  expect(new Set([a, b, onnx.sha256]).size).toBe(3);
});

test.each(SPACINGS)('spacing %s is accepted', (spacing) => {
  expect(rejected({ sampling: { spacing, final_timestep: 999 } })).toEqual([]);
});

test('a learned variance is accepted for a network with 6 outputs', () => {
  expect(rejected({ out_channels: 6, sampling: { variance: 'learned' } })).toEqual([]);
});

test.each(PREDICTIONS)('prediction %s is accepted', (prediction) => {
  expect(rejected({ prediction })).toEqual([]);
});

test.each(SAMPLER_NAMES)('sampler %s is accepted', (sampler) => {
  expect(rejected({ defaults: { ...defaults, sampler } })).toEqual([]);
});

test.each([
  [{ sampling: { resampling: { jump: 0, times: 3 } } }, 'sampling.resampling.jump'],
  [{ sampling: { resampling: { jump: 5, times: 101 } } }, 'sampling.resampling.times'],
  [{ sampling: { clip: 'no' } }, 'sampling.clip'],
  [{ prediction: 'score' }, 'prediction'],
  [{ defaults: { ...defaults, sampler: 'euler' } }, 'defaults.sampler'],
  [{ defaults: { ...defaults, steps: 0 } }, 'defaults.steps'],
  [{ defaults: { ...defaults, steps: 1001 } }, 'defaults.steps'],
  [{ defaults: { ...defaults, eta: 1.1 } }, 'defaults.eta'],
  [{ resolution: 2048 }, 'resolution'],
  [{ in_channels: 5 }, 'in_channels'],
  [{ out_channels: 7 }, 'out_channels'],
  [{ schedule: { ...cosine, T: 0 } }, 'schedule.T'],
  [{ schedule: { ...cosine, T: 10_001 } }, 'schedule.T'],
  [{ schedule: { ...cosine, T: 1e12 } }, 'schedule.T'], // must not be computed
  [{ schedule: { ...cosine, T: 1000.5 } }, 'schedule.T'],
  [{ schedule: { ...cosine, s: -0.1 } }, 'schedule.s'],
  [{ schedule: { ...cosine, s: 1.1 } }, 'schedule.s'],
  [{ schedule: { ...cosine, abar_min: 0 } }, 'schedule.abar_min'],
  [{ schedule: { ...cosine, abar_min: 1 } }, 'schedule.abar_min'],
  [{ schedule: { ...linear, beta_start: 0 } }, 'schedule.beta_start'],
  [{ schedule: { ...linear, beta_end: 1 } }, 'schedule.beta_end'],
  [{ schedule: { ...linear, beta_start: 0.5, beta_end: 0.1 } }, 'schedule.beta_end'],
  [{ schedule: { ...linear, beta_start: 1e-17 } }, 'schedule'], // abar_0 rounds to 1
  [{ schedule: { type: 'linear', T: 10_000, beta_start: 0.5, beta_end: 0.9 } }, 'schedule'], // abar rounds to 0
  [{ schedule: { ...cosine, type: 'sigmoid' } }, 'schedule.type'],
  [{ architecture: { ...architecture, patch: 0 } }, 'architecture.patch'],
  [{ architecture: { ...architecture, patch: 17 } }, 'architecture.patch'],
  [{ architecture: { ...architecture, channels: [] } }, 'architecture.channels'],
  [{ architecture: { ...architecture, channels: [0] } }, 'architecture.channels.0'],
  [{ architecture: { ...architecture, channels: [64, 4097] } }, 'architecture.channels.1'],
  [{ architecture: { ...architecture, channels: Array(9).fill(64) } }, 'architecture.channels'],
  [{ architecture: { ...architecture, blocks: 0 } }, 'architecture.blocks'],
  [{ architecture: { ...architecture, blocks: 17 } }, 'architecture.blocks'],
  [{ architecture: { ...architecture, attention: [0] } }, 'architecture.attention.0'],
  [{ architecture: { ...architecture, head_dim: 0 } }, 'architecture.head_dim'],
  [{ architecture: { ...architecture, head_dim: 1025 } }, 'architecture.head_dim'],
  [{ architecture: { ...architecture, groups: 0 } }, 'architecture.groups'],
  [{ architecture: { ...architecture, groups: 1025 } }, 'architecture.groups'],
  [{ sampling: { spacing: 'uniform' } }, 'sampling.spacing'],
  [{ sampling: { final_timestep: -1 } }, 'sampling.final_timestep'],
  [{ sampling: { final_timestep: 1000 } }, 'sampling.final_timestep'],
  [{ sampling: { final_timestep: 8.5 } }, 'sampling.final_timestep'],
  [{ sampling: { variance: 'large' } }, 'sampling.variance'],
  [{ sampling: { variance: 'learned' } }, 'sampling.variance'], // of a network with 3 outputs
  [{ data: { ...data, pictures: -1 } }, 'data.pictures'],
  [{ precision: { ...precision, max_difference: -1 } }, 'precision.max_difference'],
  [{ files: { 'unet.onnx': { ...onnx, bytes: -1 } } }, 'files.unet.onnx.bytes'],
  [{ refiner: { ...refiner, resolution: 60 } }, 'refiner.resolution'],
  [{ refiner: { ...refiner, in_channels: 4 } }, 'refiner.in_channels'],
  [{ refiner: { ...refiner, out_channels: 6 } }, 'refiner.out_channels'],
  [{ refiner: { ...refiner, prediction: 'score' } }, 'refiner.prediction'],
  [{ refiner: { ...refiner, schedule: { ...cosine, T: 0 } } }, 'refiner.schedule.T'],
  [{ refiner: { ...refiner, level: -0.1 } }, 'refiner.level'],
  [{ refiner: { ...refiner, level: 0.31 } }, 'refiner.level'],
  [{ refiner: { ...refiner, level_max: 0 } }, 'refiner.level_max'],
  [{ refiner: { ...refiner, defaults: { ...defaults, steps: 1001 } } }, 'refiner.defaults.steps'],
  [
    { refiner: { ...refiner, sampling: { spacing: 'linspace', final_timestep: 1000 } } },
    'refiner.sampling.final_timestep',
  ],
  [{ refiner: { ...refiner, sampling: { spacing: 'random' } } }, 'refiner.sampling.spacing'],
  [{ refiner: { ...refiner, sampling: { first_timestep: 900 } } }, 'refiner.sampling.first_timestep'],
  [
    { refiner: { ...refiner, sampling: { spacing: 'log_snr', first_timestep: 1000 } } },
    'refiner.sampling.first_timestep',
  ],
  [
    { refiner: { ...refiner, sampling: { spacing: 'log_snr', first_timestep: 20, final_timestep: 21 } } },
    'refiner.sampling.final_timestep',
  ],
  [
    { refiner: { ...refiner, sampling: { spacing: 'log_snr', first_timestep: 4 } } },
    'refiner.defaults.steps',
  ],
  [{ refiner: { ...refiner, sharpen: -0.1 } }, 'refiner.sharpen'],
  [{ refiner: { ...refiner, sampling: { variance: 'learned' } } }, 'refiner.sampling.variance'],
  [{ refiner: { ...refiner, data: [] } }, 'refiner.data'],
  [
    { refiner: { ...refiner, architecture: { patch: 2, channels: [8], embedding: 0 } } },
    'refiner.architecture.embedding',
  ],
])('%j is rejected at %s', (changes, where) => {
  expect(rejected(changes)).toContain(where);
});

test('every accepted schedule has abar in (0, 1), never increasing', () => {
  const T = fc.integer({ min: 1, max: 10_000 });
  const proportion = fc.double({ min: 0, max: 1, noNaN: true });
  const schedules = fc.oneof(
    fc.record({
      type: fc.constant('cosine'),
      T,
      s: fc.double({ min: 0, max: 1, noNaN: true }),
      abar_min: proportion,
    }),
    fc.record({ type: fc.constant('linear'), T, beta_start: proportion, beta_end: proportion }),
  );
  let accepted = 0;
  const check = (schedule: { T: number }) => {
    const { T } = schedule;
    const parsed = modelCard.safeParse({ ...card, schedule, defaults: { ...defaults, steps: T } });
    if (!parsed.success) return;
    accepted++;
    const { abar } = scheduleFrom(parsed.data.schedule);
    expect(abar).toHaveLength(T);
    expect(abar.every((a, t) => a > 0 && a < 1 && (t === 0 || a <= abar[t - 1]))).toBe(true);
  };
  fc.assert(fc.property(schedules, check));
  expect(accepted).toBeGreaterThan(20);
});

import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { gaussian } from '../diffusion/noise.ts';
import type { Batch } from '../engine/engine.ts';
import { inputLength, type Networks, outputLength } from '../engine/network.ts';
import { loadOnnx } from '../engine/onnx.ts';
import { usableCores } from '../machine.ts';
import type { ModelCard } from '../model/card.ts';
import { digestOf } from '../model/folder.ts';
import { NETWORK_FILES, networksOf } from '../model/networks.ts';

/** What the service loads from a version's folder. */
const LOADED = /\.(onnx|onnx\.data|safetensors)$/;
/** Largest difference of a row's output in a batch from its output alone. */
const SAME = 1e-3;
/** Correlation with the noise, at the noisiest timestep, above and below which a network surely predicts the noise, or does not. */
const NOISE = { above: 0.9, below: 0.5 };

export type Files = ModelCard['files'];

/**
 * Sizes and digests of the files in the folder that the service would load, or that model.json lists: its section `files`.
 * Rejects when the folder cannot be read.
 */
export async function filesIn(folder: string): Promise<Files> {
  const files: Files = {};
  const listed = await listedFiles(folder);
  for (const name of (await readdir(folder)).filter((each) => LOADED.test(each) || listed[each]).sort()) {
    const file = path.join(folder, name);
    files[name] = { sha256: await digestOf(file), bytes: (await stat(file)).size };
  }
  return files;
}

/** What is wrong with the section `files` of model.json, valid or not. */
export async function wrongFiles(folder: string, found: Files): Promise<string[]> {
  const listed = await listedFiles(folder);
  const wrong: string[] = [];
  if (!found[NETWORK_FILES.base]) wrong.push(`${NETWORK_FILES.base} is missing`);
  for (const [name, { sha256, bytes }] of Object.entries(found)) {
    if (!listed[name]) wrong.push(`${name} is not listed in files`);
    else if (listed[name].bytes !== bytes || listed[name].sha256 !== sha256)
      wrong.push(`${name} has another size or digest than files says`);
  }
  for (const name of Object.keys(listed))
    if (!found[name]) wrong.push(`${name} is listed in files and missing`);
  return wrong;
}

/** The section `files` of model.json, valid or not; empty when there is none. */
async function listedFiles(folder: string): Promise<Partial<Files>> {
  const card = await readFile(path.join(folder, 'model.json'), 'utf8')
    .then(JSON.parse)
    .catch(() => undefined);
  return card?.files ?? {};
}

export interface Checked {
  /** What keeps the version from being served properly. */
  wrong: string[];
  /** What is unusual for a trained network. */
  unusual: string[];
  /** Of the base network, on every core. */
  secondsPerEvaluation: number;
}

/** Loads the networks of a version in this process, and evaluates the base network. Rejects with EngineError. */
export async function checkNetworks(folder: string, card: ModelCard): Promise<Checked> {
  const networks = networksOf(card);
  const runtime = { engine: 'onnx', device: 'cpu', library: 'onnxruntime-node' } as const;
  const loaded = await loadOnnx({ ...runtime, folder, networks, threads: usableCores() });
  const last = card.schedule.T - 1;
  const t = [last, Math.round(last / 2)];
  const rows = t.map((_, candidate) => noiseFor(card, candidate));
  const length = inputLength(networks.base);
  const x = new Float32Array(rows.length * length);
  rows.forEach((row, i) => void x.set(row, i * length));
  const together = await loaded.evaluate(
    { network: 'base', rows: t.length, x, t: Float32Array.from(t) },
    true,
  );
  const started = performance.now();
  const alone = await evaluateRow(loaded, rows[0], t[0]);
  const secondsPerEvaluation = (performance.now() - started) / 1000;
  const later = await evaluateRow(loaded, rows[0], t[1]);

  const first = together.subarray(0, outputLength(networks.base));
  const wrong: string[] = [];
  if (!together.every(Number.isFinite)) wrong.push('some outputs are not finite');
  if (largestDifference(first, alone) > SAME) wrong.push('a row has other outputs in a batch than alone');
  if (last > 0 && largestDifference(alone, later) === 0) wrong.push('the outputs do not depend on t');
  return { wrong, unusual: [...notLoaded(card), ...unusual(card, rows[0], first)], secondsPerEvaluation };
}

/** Noise where the whole picture is the hole: [3, R, R], and the mask for a network that is conditioned on it. */
function noiseFor({ conditioning, resolution }: ModelCard, candidate: number): Float32Array {
  const noise = gaussian({ seed: 1, candidate, step: 0 }, 3 * resolution ** 2);
  if (conditioning === 'none') return noise;
  const row = new Float32Array(4 * resolution ** 2).fill(1);
  row.set(noise);
  return row;
}

function evaluateRow(networks: Networks, x: Float32Array, t: number): Promise<Float32Array> {
  const batch: Batch = { network: 'base', rows: 1, x, t: Float32Array.of(t) };
  return networks.evaluate(batch, true);
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i])), 0);
}

/** Listed files of other names. Where one has weights, the service would not know how large the network is. */
function notLoaded({ files }: ModelCard): string[] {
  const others = Object.keys(files).filter((name) => !LOADED.test(name));
  return others.map(
    (name) =>
      `${name} is no file that the service looks for: weights beside unet.onnx belong in unet.onnx.data`,
  );
}

/** At the noisiest timestep x is nearly the noise itself: a network that predicts it returns its input, and others do not. */
function unusual({ prediction, resolution }: ModelCard, x: Float32Array, output: Float32Array): string[] {
  const length = 3 * resolution ** 2;
  const correlation = correlate(x.subarray(0, length), output.subarray(0, length));
  const isNoise = correlation > NOISE.above;
  const isOther = correlation < NOISE.below;
  if (prediction === 'epsilon' ? !isOther : !isNoise) return [];
  return [
    `at t = T - 1 the outputs correlate ${correlation.toFixed(2)} with the noise, which is unusual for a network that predicts ` +
      `${prediction}: about 1 is usual for epsilon, and about 0 for v and sample`,
  ];
}

function correlate(a: Float32Array, b: Float32Array): number {
  const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += (a[i] - meanA) * (b[i] - meanB);
    aa += (a[i] - meanA) ** 2;
    bb += (b[i] - meanB) ** 2;
  }
  return aa * bb > 0 ? ab / Math.sqrt(aa * bb) : 0;
}

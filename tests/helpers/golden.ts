import { readFileSync } from 'node:fs';
import { gaussian, type NoiseKey, type NoisePosition } from '../../src/diffusion/noise.ts';
import type { SamplerName } from '../../src/diffusion/samplers/index.ts';
import type { Batch, Engine, EngineInfo, NetworkName } from '../../src/engine/engine.ts';
import type { Networks } from '../../src/engine/network.ts';
import { denoise } from '../../src/generation/denoise.ts';
import type { Conditioning } from '../../src/generation/trajectories/conditioning.ts';
import { wholeSpecs } from '../../src/generation/whole.ts';
import { decodePicture } from '../../src/image/decode.ts';
import { decodeMask } from '../../src/image/mask-reading.ts';
import { square } from '../../src/image/picture.ts';
import { maskToTensor, pictureToTensor } from '../../src/image/region.ts';
import { Admission } from '../../src/scheduler/admission.ts';
import { Scheduler } from '../../src/scheduler/scheduler.ts';
import { openRealRegistry } from './model.ts';

type Model = Parameters<typeof denoise>[0];

interface GoldenFile {
  /** id@version */
  model: string;
  noise: (NoiseKey & { z: number[] })[];
  pixels: (NoiseKey & NoisePosition & { z: number[] })[];
  network: { seed: number; rows: { t: number; prediction: string }[] };
  run: { image: string; mask: string; seed: number; sampler: SamplerName; steps: number; x0: string };
}

/** What PyTorch makes of the model in the repository: training/vectors_golden.py. */
export const golden: GoldenFile = JSON.parse(readFileSync('tests/vectors/golden.json', 'utf8'));

/** Little-endian float32, in base64. */
function decoded(base64: string): Float32Array {
  const bytes = Buffer.from(base64, 'base64');
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
}

/** The golden rows of the given indices: the batch [N, C, R, R] and what PyTorch predicts for it [N, C', R, R]. */
export const goldenBatch = (indices: number[], rowLength: number) =>
  rowsBatch('base', golden.network, indices, rowLength);

/** The same for the rows that `vectors` has of a network. */
export function rowsBatch(
  network: NetworkName,
  vectors: GoldenFile['network'],
  indices: number[],
  rowLength: number,
): { batch: Batch; prediction: Float32Array } {
  const rows = indices.map((i) => vectors.rows[i]);
  const noise = indices.map((candidate) => gaussian({ seed: vectors.seed, candidate, step: 0 }, rowLength));
  return {
    batch: {
      network,
      rows: rows.length,
      x: Float32Array.from(noise.flatMap((row) => [...row])),
      t: Float32Array.from(rows, ({ t }) => t),
    },
    prediction: Float32Array.from(rows.flatMap(({ prediction }) => [...decoded(prediction)])),
  };
}

/** The example as PyTorch fills its hole: [3, R, R] in -1..1, known pixels included. */
export const goldenRun = decoded(golden.run.x0);

/** The example's picture and hole, at the model's resolution. */
export async function goldenExample(resolution: number): Promise<Conditioning> {
  const { image, mask } = golden.run;
  const picture = await decodePicture(readFileSync(image), 'image', { maxPixels: 1e6 });
  const hole = await decodeMask(readFileSync(mask), 'mask', { maxPixels: 1e6 });
  const box = { left: 0, top: 0, width: picture.width, height: picture.height };
  return {
    x0: await pictureToTensor(picture, box, square(resolution), hole),
    mask: maskToTensor(hole, box, square(resolution)),
  };
}

/** The golden run with a network of ours, from its own noise to the picture [3, R, R] before compositing. */
export async function denoiseExample(network: Networks): Promise<Float32Array> {
  const { card } = (await openRealRegistry()).get(golden.model);
  const { seed, sampler, steps } = golden.run;
  const known = await goldenExample(card.resolution);
  const parameters = { seed, numImages: 1, sampler, steps, eta: 0 };
  const model = served(card, network);
  const { candidates } = await denoise(model, wholeSpecs(model, known, parameters), {});
  return candidates[0][0].x0;
}

/** A model whose network is in this process: what is tested is what is computed, not where. */
function served(card: Model['card'], network: Networks): Model {
  const runtime = { engine: 'onnx', device: 'cpu', library: 'onnxruntime-node' } as const;
  const info: EngineInfo = { ...runtime, ...network, bestBatch: 1, workers: 1 };
  const engine: Engine = {
    info,
    rowSeconds: {},
    alive: 1,
    onAliveChange: undefined,
    evaluate: (batch) => network.evaluate(batch, true),
    close: async () => {},
  };
  const admission = new Admission({ limit: 8 });
  const scheduler = new Scheduler({ engine, admission });
  const open = async () => ({ scheduler, engine: info });
  return { ref: golden.model, created: new Date(0), card, digest: '', state: 'ready', admission, open };
}

import { readFile } from 'node:fs/promises';
import type { Engine, EngineInfo } from '../../src/engine/engine.ts';
import type { Network } from '../../src/engine/network.ts';
import { inpaint } from '../../src/generation/inpaint.ts';
import { decodePicture } from '../../src/image/decode.ts';
import { decodeMask } from '../../src/image/mask.ts';
import type { ModelCard } from '../../src/model/card.ts';
import type { ServedModel } from '../../src/registry/served-model.ts';
import { Scheduler } from '../../src/scheduler/scheduler.ts';
import { holed } from '../helpers/holed.ts';
import { openRealRegistry } from '../helpers/model.ts';

/** An example's hole, filled from end to end by the real model's network: the bytes inside the hole. */
export async function fill(network: Network, steps: number): Promise<Uint8Array> {
  const { card } = (await openRealRegistry()).get();
  const picture = await decodePicture(await readFile('examples/face-1.png'), 'image', { maxPixels: 1e6 });
  const mask = await decodeMask(await readFile('examples/mask-1.png'), 'mask', { maxPixels: 1e6 });
  const sampling = { seed: 7, numImages: 1, sampler: 'ddpm', steps, eta: 0 } as const;
  const parameters = { ...sampling, strategy: 'auto', maskBlur: 0 } as const;
  const { pictures } = await inpaint(served(card, network), holed(picture, mask), parameters);
  return pictures[0].data.filter((_, i) => mask.data[Math.floor(i / picture.channels)] > 0);
}

/** The model, its network in this process: what is tested is what is computed, not where. */
function served(card: ModelCard, network: Network): ServedModel {
  const runtime = { engine: 'onnx', device: 'cpu', library: 'onnxruntime-node' } as const;
  const info: EngineInfo = { ...runtime, ...network, bestBatch: 1, workers: 1 };
  const engine: Engine = {
    info,
    alive: 1,
    onAliveChange: undefined,
    evaluate: (batch) => network.evaluate(batch, true),
    close: async () => {},
  };
  const scheduler = new Scheduler({ engine, limit: 8 });
  return { ref: 'test', card, digest: '', state: 'ready', open: async () => ({ scheduler, engine: info }) };
}
